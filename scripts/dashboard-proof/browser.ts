// A real Chromium, driven as a person drives it; what it complains about is kept.
import { existsSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { userError } from "../../src/base/index.ts";

/** Debian's; another one by CHROMIUM. */
const executable = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
// Without these it asks its maker's hosts at every start.
const quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-gpu"];
const sandboxless = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export interface Sight {
  readonly width: 1280 | 390;
  readonly colorScheme: "light" | "dark";
}

export const sights: readonly Sight[] = [
  { width: 1280, colorScheme: "light" },
  { width: 1280, colorScheme: "dark" },
  { width: 390, colorScheme: "light" },
];

const heights = { 1280: 800, 390: 844 } as const;

/** One browser with its own state; `complaints` is all that pages wrote to the console as errors, threw, or failed to load. */
export class ProofBrowser {
  readonly complaints: string[] = [];
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(): Promise<ProofBrowser> {
    if (!existsSync(executable)) throw userError("chromium-missing", `there is no Chromium at ${executable}`, { hint: "apt-get install chromium, or name one by CHROMIUM" });
    return new ProofBrowser(await chromium.launch({ executablePath: executable, headless: true, args: [...quiet, ...sandboxless] }));
  }

  /** A window that knows nothing of the others. */
  async window({ width, colorScheme }: Sight): Promise<BrowserContext> {
    return await this.#browser.newContext({ viewport: { width, height: heights[width] }, colorScheme, deviceScaleFactor: 1 });
  }

  /** A page whose complaints are kept. */
  async page(context: BrowserContext): Promise<Page> {
    const page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    return page;
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
