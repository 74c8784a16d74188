// The machine's Chromium, for whoever looks at pages as a person does.
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

/** Debian's; another one by CHROMIUM. */
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
// Without most of these it asks its maker's hosts at every start.
const quiet = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
// It refuses to run as root with its sandbox.
const sandboxless = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

const missing = existsSync(executablePath)
  ? undefined
  : `there is no Chromium at ${executablePath}: apt-get install chromium, or name one by CHROMIUM`;

/** Where there is no Chromium its cases are said not to have been run; with CI=true they fail. */
export function casesInChromium(name: string, define: () => void): void {
  if (missing !== undefined && process.env["CI"] !== "true") process.stderr.write(`not run, ${name}: ${missing}\n`);
  else define();
}

export async function launchChromium(): Promise<Browser> {
  if (missing !== undefined) throw new Error(missing);
  return await chromium.launch({ executablePath, headless: true, args: [...quiet, ...sandboxless] });
}
