# The services' own figures, and the rules of infra/observability over them. Grafana reads them from here, with the
# dashboards of the same folder.

resource "aws_prometheus_workspace" "this" {
  alias = var.name
}

resource "aws_prometheus_rule_group_namespace" "this" {
  name         = var.name
  workspace_id = aws_prometheus_workspace.this.id
  data         = var.rules
}

# What rings there reaches the same people as the alarms of AWS.
resource "aws_prometheus_alert_manager_definition" "this" {
  workspace_id = aws_prometheus_workspace.this.id

  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = {
        receiver        = "operators"
        group_by        = ["alertname"]
        group_wait      = "30s"
        group_interval  = "5m"
        repeat_interval = "12h"
      }
      receivers = [{
        name = "operators"
        sns_configs = [{
          topic_arn     = aws_sns_topic.alarms.arn
          send_resolved = true
          subject       = "{{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }}"
          sigv4         = { region = var.region }
        }]
      }]
    })
  })

  depends_on = [aws_sns_topic_policy.alarms]
}
