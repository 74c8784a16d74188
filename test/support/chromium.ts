// The machine's Chromium, for tests that look at pages as a person does.
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

/**
 * Chromium's paths on Debian. The headless shell has no windows and menus, and takes two thirds of the CPU time. The
 * variable CHROMIUM names another program.
 */
const programs = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"] as const;
const executablePath = process.env["CHROMIUM"] ?? programs.find((program) => existsSync(program)) ?? programs[0];
/**
 * Features that are switched off. If `--disable-features` is given several times, only the last counts, so ours repeats
 * what Playwright switches off on Linux.
 */
const offByPlaywright = [
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "DestroyProfileOnBrowserClose",
  "HttpsUpgrades",
  "HttpsFirstBalancedModeAutoEnable",
  "LensOverlay",
  "MediaRouter",
  "PaintHolding",
  "ThirdPartyStoragePartitioning",
  "AvoidCorsURLLoaderRestartOnRedirect",
  "OptimizationHints",
  "NetworkTimeServiceQuerying",
  "AimEnabled",
  "PreconnectToSearch",
];
/**
 * With these features, Chromium loads two pages for the address bar's list with each new page, in a process that takes
 * 0.8 s of CPU time.
 */
const addressBar = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup"];
/** With this feature, Chromium starts a process for the next window, which tests seldom open. */
const spareProcess = "SpareRendererForSitePerProcess";
// Without most of these flags, Chromium contacts its vendor's hosts at every start.
const quiet = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  `--disable-features=${[...offByPlaywright, ...addressBar, spareProcess].join(",")}`,
];
// Chromium refuses to run as root in its sandbox.
const sandboxless = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

const missing = existsSync(executablePath)
  ? undefined
  : `there is no Chromium at ${executablePath}: apt-get install chromium-headless-shell, or name one by CHROMIUM`;

/** Declares test cases that need Chromium. Without Chromium they are reported as not run, or fail with CI=true. */
export function casesInChromium(name: string, define: () => void): void {
  if (missing !== undefined && process.env["CI"] !== "true") process.stderr.write(`not run, ${name}: ${missing}\n`);
  else define();
}

export async function launchChromium(): Promise<Browser> {
  if (missing !== undefined) throw new Error(missing);
  return await chromium.launch({ executablePath, headless: true, args: [...quiet, ...sandboxless] });
}
