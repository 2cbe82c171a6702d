// The first web page in a real browser: two people side by side, and what one writes the other reads.
//
//   browser.cjs HTTP CHROMIUM
//
// Ends with exit code 0 when everything was as it should be, and otherwise says what was not.
'use strict'

const assert = require('node:assert/strict')
const { chromium } = require('playwright-core')

const [http, executablePath] = process.argv.slice(2)
const DEADLINE_MS = 30_000

async function main() {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const page = await browser.newPage()
  page.setDefaultTimeout(DEADLINE_MS)
  const complaints = []
  page.on('console', (message) => {
    // Browsers ask for an icon on their own account.
    const { url } = message.location()
    if (message.type() === 'error' && !url.endsWith('/favicon.ico')) complaints.push(`${message.text()} (${url})`)
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  await page.goto(`${http}/`)
  const [alice, bob] = ['Alice', 'Bob'].map((name) => page.frameLocator(`iframe[src$="#${name}"]`))
  for (const [writer, reader, text] of [[alice, bob, 'Hello Bob'], [bob, alice, 'Hello <b>Alice</b>']]) {
    await writer.locator('#text').fill(text)
    await writer.locator('#text').press('Enter')
    await reader.locator('#messages li', { hasText: text }).waitFor()
  }
  const numbers = await bob.locator('#messages .seq').allTextContents()
  numbers.forEach((seq, index) => assert.equal(Number(seq), Number(numbers[0]) + index, `seqs ${numbers}`))
  assert.deepEqual(complaints, [])
  console.log('ok: two people chat on the first page')
  await browser.close()
}

main().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
