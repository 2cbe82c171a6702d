// Shows the OpenAPI and AsyncAPI documents. Everything is set as text, so nothing in a document can become markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
// Schemas within schemas; deeper ones are named and not shown.
const DEPTH_MAX = 4;

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function followed(documents, own, node) {
  if (!node || !node.$ref) return node;
  const [file, pointer] = node.$ref.split("#");
  const root = file ? documents[file] : own;
  return pointer.split("/").slice(1).reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], root);
}

// A schema as something like the JSON it describes.
function sketch(documents, own, schema, depth = 0) {
  if (!schema) return "any";
  if (schema.$ref) {
    if (depth > DEPTH_MAX) return schema.$ref.split("/").pop();
    const root = schema.$ref.startsWith("#") ? own : documents[schema.$ref.split("#")[0]];
    return sketch(documents, root, followed(documents, own, schema), depth);
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map((choice) => sketch(documents, own, choice, depth)).join("\n| ");
  if (schema.allOf && !schema.properties) return schema.allOf.map((part) => sketch(documents, own, part, depth)).join("\n& ");
  const type = [schema.type].flat().join(" | ");
  if (schema.items) return `[${sketch(documents, own, schema.items, depth + 1)}]`;
  if (!schema.properties) return type || "any";
  const pad = "  ".repeat(depth + 1);
  const fields = Object.entries(schema.properties).map(([name, field]) => {
    const optional = (schema.required ?? []).includes(name) ? "" : "?";
    return `${pad}${JSON.stringify(name)}${optional}: ${sketch(documents, own, field, depth + 1)}`;
  });
  return fields.length ? `{\n${fields.join(",\n")}\n${"  ".repeat(depth)}}` : "{}";
}

function table(rows) {
  const made = element("table");
  for (const cells of rows) made.append(element("tr", "", ...cells.map((cell) => cell instanceof Node ? element("td", "", cell) : element("td", cell))));
  return made;
}

function operation(documents, own, path, method, what) {
  const body = element("div");
  body.className = "body";
  if (what.description) body.append(element("p", what.description));
  if (what.security?.some((need) => Object.keys(need).length === 0)) body.append(element("p", "Needs no token."));
  if (what.parameters) {
    body.append(element("h4", "Parameters"), table(what.parameters.map((one) => [
      `${one.name}${one.required ? "" : "?"}`, one.in, sketch(documents, own, one.schema), one.description ?? "",
    ])));
  }
  for (const [type, content] of Object.entries(what.requestBody?.content ?? {})) {
    body.append(element("h4", `Body, ${type}`), element("pre", sketch(documents, own, content.schema)));
  }
  body.append(element("h4", "Answers"), table(Object.entries(what.responses).map(([status, response]) => {
    const found = followed(documents, own, response);
    const good = Object.values(found.content ?? {}).filter((content) => !content.schema?.allOf);
    const shown = element("div", found.description);
    for (const content of good) shown.append(element("pre", sketch(documents, own, content.schema)));
    return [status, shown];
  })));
  const name = element("span", method.toUpperCase());
  name.className = "method";
  const note = element("span", ` ${what.summary ?? ""}`);
  note.className = "note";
  return element("details", "", element("summary", "", name, element("code", path), note), body);
}

function channels(documents, own) {
  const made = [];
  for (const what of Object.values(own.operations)) {
    const channel = followed(documents, own, what.channel);
    const body = element("div");
    body.className = "body";
    if (channel["x-aliases"]) body.append(element("p", `Also ${channel["x-aliases"].join(", ")}.`));
    for (const reference of Object.values(channel.messages)) {
      const message = followed(documents, own, reference);
      body.append(element("h4", `${message.title} ${message.contentType}`), element("pre", sketch(documents, own, message.payload)));
    }
    const name = element("span", what.action === "receive" ? "SEND" : "SUBSCRIBE");
    name.className = "method";
    const note = element("span", ` ${what.summary}`);
    note.className = "note";
    made.push(element("details", "", element("summary", "", name, element("code", ` ${channel.address}`), note), body));
  }
  return made;
}

function chapter(name, parts) {
  const title = element("h2", name);
  title.id = name;
  const link = element("a", name);
  link.href = `#${name}`;
  document.getElementById("tags").append(link);
  document.getElementById("operations").append(title, ...parts);
}

async function show() {
  const names = ["openapi.json", "asyncapi.json"];
  const texts = await Promise.all(names.map(async (name) => (await fetch(`/api/${name}`)).json()));
  const documents = Object.fromEntries(names.map((name, at) => [name, texts[at]]));
  const own = documents["openapi.json"];
  const tags = new Map();
  for (const [path, item] of Object.entries(own.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const tag = item[method].tags?.[0] ?? "other";
      tags.set(tag, [...(tags.get(tag) ?? []), operation(documents, own, path, method, item[method])]);
    }
  }
  for (const [tag, operations] of [...tags].sort(([a], [b]) => a.localeCompare(b))) chapter(tag, operations);
  chapter("STOMP", channels(documents, documents["asyncapi.json"]));
}

show().catch((error) => document.getElementById("operations").append(element("p", `The documents could not be read: ${error.message}`)));
