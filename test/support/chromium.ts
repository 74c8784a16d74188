// The machine's Chromium, for whoever looks at pages as a person does.
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

/** Debian's; another one by CHROMIUM. */
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
// Without most of these it asks its maker's hosts at every start.
const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
// It refuses to run as root with its sandbox.
const sandboxless = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

/** Why there is no Chromium, in words for who would skip a case for it; false where there is one. */
export const missingChromium: string | false = existsSync(executablePath) ? false : `there is no Chromium at ${executablePath}: apt-get install chromium, or name one by CHROMIUM`;

export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({ executablePath, headless: true, args: [...quiet, ...sandboxless] });
}
