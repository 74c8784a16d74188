import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "../../../test/support/chromium.ts";
import { limitedEnd } from "../limited-end.ts";

export interface Sight {
  readonly width: 1280 | 390;
  readonly colorScheme: "light" | "dark";
}

export const sights: readonly Sight[] = [
  { width: 1280, colorScheme: "light" },
  { width: 1280, colorScheme: "dark" },
  { width: 390, colorScheme: "light" },
];

const unanswered = /Failed to load resource|net::ERR_|WebSocket connection/;
const heights = { 1280: 800, 390: 844 } as const;

/**
 * A real Chromium with its own state. `complaints` holds every console error and every uncaught exception of its pages.
 * Chromium also logs a failed request as a console error.
 */
export class ProofBrowser {
  complaints: readonly string[] = [];
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(): Promise<ProofBrowser> {
    return new ProofBrowser(await launchChromium());
  }

  async window({ width, colorScheme }: Sight): Promise<BrowserContext> {
    return await this.#browser.newContext({
      viewport: { width, height: heights[width] },
      colorScheme,
      deviceScaleFactor: 1,
    });
  }

  /** Opens a page and records its complaints. */
  async page(context: BrowserContext): Promise<Page> {
    const page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") this.#complain(`${page.url()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.#complain(`${page.url()}: ${error.message}`));
    return page;
  }

  /**
   * Forgets the errors about requests that got no answer. Chromium logs these too, and while a proof has stopped a
   * server, they are not the page's fault.
   */
  forgiveUnanswered(): void {
    this.complaints = this.complaints.filter((complaint) => !unanswered.test(complaint));
  }

  #complain(complaint: string): void {
    this.complaints = [...this.complaints, complaint];
  }

  async close(): Promise<void> {
    await limitedEnd("the browser", this.#browser.close());
  }
}
