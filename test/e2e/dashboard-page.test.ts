// The dashboard's page in a real Chromium, over a synthetic mesh: every view at both widths and in both themes, the
// keyboard, and a server that stops.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { syntheticToken } from "../../src/dashboard/server/testing/synthetic-access.ts";
import { casesInChromium, launchChromium } from "../support/chromium.ts";
import { root } from "../support/lab-cluster.ts";
import { markedLink, markup, padded, startMarkupRelay } from "../support/markup-relay.ts";

const patienceMs = 20_000;
// Code that runs in the page is a text, because these files are compiled without a browser's types.
const isLive = "document.querySelector('.live')?.textContent === 'live'";

/** The name of the focused element if something covers its middle, or the upper part of a large one. */
const hiddenFocus = `(() => {
  const focused = document.activeElement;
  if (focused === null || focused === document.body) return undefined;
  const { left, top, width, height } = focused.getBoundingClientRect();
  const shown = document.elementFromPoint(left + Math.min(width / 2, 20), top + Math.min(height / 2, 60));
  return shown !== null && (focused.contains(shown) || shown.contains(focused))
    ? undefined
    : (focused.getAttribute("aria-label") ?? focused.textContent);
})()`;

const views: Readonly<Record<string, string>> = {
  overview: "#/",
  graph: "#/graph?as=graph",
  "the graph as tables": "#/graph?as=table&idle=hide",
  "a node of the graph": "#/graph?as=graph&by=workload&sel=workload%2Fshop%2Fcart-v1",
  "the graph of some time ago": `#/graph?as=graph&at=${Date.now() - 1_800_000}`,
  ladder: "#/ladder",
  rollouts: "#/rollouts",
  rollout: "#/rollouts/Canary/shop/checkout",
  "a rollout that was rolled back": "#/rollouts/Canary/shop/refunds",
  "a rollout that is not there": "#/rollouts/MeshUpgrade//gone",
  workloads: "#/workloads",
  workload: "#/workloads/shop/frontend-v1",
  "a workload's traffic": "#/workloads/shop/frontend-v1?tab=traffic",
  "a workload's metrics": "#/workloads/shop/frontend-v1?tab=metrics",
  "a workload's log": "#/workloads/shop/frontend-v1?tab=logs&find=request%201",
  "a workload's proxy": "#/workloads/shop/frontend-v1?tab=proxy",
  services: "#/services",
  service: "#/services/shop/frontend",
  config: "#/config",
  object: "#/config/networking.istio.io%2Fv1/VirtualService/shop/checkout",
  editor: "#/config/new",
  audit: "#/audit",
  login: "#/login",
  "no such view": "#/nowhere",
};
/** These views show no names of the mesh, or draw them on a canvas. */
const namelessViews: ReadonlySet<string> = new Set([
  "graph",
  "the graph of some time ago",
  "a rollout that is not there",
  "editor",
  "audit",
  "login",
  "no such view",
]);
const looks = [
  { width: 1280, height: 800, colorScheme: "light" },
  { width: 1280, height: 800, colorScheme: "dark" },
  { width: 390, height: 844, colorScheme: "dark" },
  { width: 390, height: 844, colorScheme: "light" },
] as const;

/** The page must fit a window of this width. */
const narrowest = 320;

/** The server that developers of the dashboard use, as a process that a test can kill. */
class PageServer {
  #child: ChildProcess | undefined;
  url = "";

  /**
   * All loads get the same bundle, because the sources do not change in between. The mesh has two namespaces, and
   * workloads of every kind. axe judges each row, so more rows of the same kinds would only take longer.
   */
  async start(port = 0, ...options: readonly string[]): Promise<void> {
    const child = spawn(
      process.execPath,
      ["scripts/dashboard-dev.ts", "--port", String(port), "--workloads", "24", "--built", ...options],
      { cwd: root, stdio: ["ignore", "pipe", "inherit"] },
    );
    this.#child = child;
    for await (const chunk of child.stdout) {
      const [url] = /http:\S+/.exec(String(chunk)) ?? [];
      if (url === undefined) continue;
      this.url = url;
      break;
    }
    assert.notEqual(this.url, "", "the server did not start");
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }
}

casesInChromium("the page", () => {
  const server = new PageServer();
  let browser: Browser;
  /** One window opens all views, one after the other: each new window would start a process of the browser. */
  let shared: Opened;
  let documents = 0;
  /**
   * Opens the view in a new document of the shared window. With an unchanged query, the browser would keep the old
   * document.
   */
  const openAnew = async (url: string, link: string): Promise<void> => {
    documents += 1;
    await shared.page.goto(`${url}?document=${documents}${link}`);
    await settled(shared.page);
  };

  before(async () => {
    await server.start();
    browser = await launchChromium();
    shared = await open(browser);
  });
  after(async () => {
    await browser.close();
    await server.stop();
  });

  for (const [name, link] of Object.entries(views)) {
    test(`${name}: no console error, nothing wider than the window, no serious finding of axe, at both widths and in both themes`, async () => {
      const { page, errors } = shared;
      const earlier = errors.length;
      await dress(page, looks[0]);
      await openAnew(server.url, link);
      const judgedWidths = new Set<number>();
      for (const dressed of looks) {
        const { width, colorScheme } = dressed;
        await dress(page, dressed);
        await drawn(page);
        const look = `${width} px ${colorScheme}`;
        // A theme changes only colours, so all rules are judged once for each width.
        const isKnownWidth = judgedWidths.has(width);
        judgedWidths.add(width);
        assert.deepEqual(await seriousFindings(page, isKnownWidth ? ["color-contrast"] : undefined), [], look);
        assert.equal(
          await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"),
          false,
          `${look}: the page scrolls sideways`,
        );
      }
      assert.deepEqual(errors.slice(earlier), []);
    });
  }

  test("markup in names, labels, annotations, log lines and metrics stays text in every view, and in a window of 320 pixels such names of 253 characters leave each view, a dialog and the user's menu within it", async () => {
    const long = padded(markup);
    await using relay = await startMarkupRelay(server.url, long);
    const { page, errors } = shared;
    const openMarked = async (link: string): Promise<void> => await openAnew(relay.url, markedLink(link, long));
    const wider: string[] = [];
    for (const [name, link] of Object.entries(views)) {
      const earlier = errors.length;
      await dress(page, looks[0]);
      await openMarked(link);
      for (const width of [looks[0].width, narrowest]) {
        await page.setViewportSize({ width, height: looks[0].height });
        if (!namelessViews.has(name))
          await until(page, `document.body.textContent.includes(${JSON.stringify(markup)})`);
        assert.deepEqual(
          await page.evaluate("[document.querySelectorAll('img').length, typeof struck]"),
          [0, "undefined"],
          name,
        );
      }
      await drawn(page);
      if (await page.evaluate<boolean>("document.documentElement.scrollWidth > innerWidth")) wider.push(name);
      assert.deepEqual(errors.slice(earlier), [], name);
    }
    assert.deepEqual(wider, [], "these views scroll sideways");
    await openMarked(views["rollout"] ?? "");
    await page.getByRole("button", { name: "Approve" }).click();
    for (const button of [page.getByRole("button", { name: "Close" }), page.getByRole("button", { name: /^User/ })]) {
      const { x, width } = (await button.boundingBox()) ?? { x: -1, width: 0 };
      assert.ok(x >= 0 && x + width <= narrowest, "the button is in the window");
    }
  });

  test("figures update by themselves, and the focus stays", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(server.url);
    await settled(page);
    const link = page.getByRole("table", { name: "Namespaces" }).getByRole("link").first();
    await link.focus();
    const rate = page.locator(".facts dd").first();
    const before = await rate.textContent();
    await until(page, `document.querySelector(".facts dd")?.textContent !== ${JSON.stringify(before)}`);
    assert.equal(await page.evaluate("document.activeElement?.textContent"), await link.textContent());
  });

  test("a rollout is approved by keyboard alone, and the audit shows it", async () => {
    await using opened = await open(browser);
    const { page, errors } = opened;
    await page.goto(server.url);
    await settled(page);
    await page.keyboard.press("g");
    await page.keyboard.press("r");
    await page.getByRole("heading", { level: 1, name: "Rollouts" }).waitFor({ timeout: patienceMs });
    await tabTo(page, "shop/checkout");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "shop/checkout" }).waitFor({ timeout: patienceMs });
    await page.getByRole("button", { name: "Approve" }).waitFor({ timeout: patienceMs });
    await tabTo(page, "Approve");
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("gets the weights 50 and 50").waitFor({ timeout: patienceMs });
    assert.match((await dialog.textContent()) ?? "", /serin canary approve checkout/);
    await tabTo(page, "why");
    await page.keyboard.type("figures are good");
    await tabTo(page, "Approve");
    await page.keyboard.press("Enter");
    await page.locator(".toast", { hasText: "approve Canary shop/checkout" }).waitFor({ timeout: patienceMs });
    await until(page, "document.activeElement?.textContent === 'Approve'");
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await page.getByText("figures are good").waitFor({ timeout: patienceMs });
    assert.deepEqual(errors, []);
  });

  test("the list of rollouts says why one was rolled back, on a phone too", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    const cause = page.getByText("4.1 % of the canary's 900 requests failed").filter({ visible: true });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 844 });
      await page.goto(`${server.url}#/rollouts`);
      await cause.first().waitFor({ timeout: patienceMs });
      assert.equal(await cause.count(), 1, `at a width of ${width}`);
    }
  });

  test("the dialog says why an order is not possible now", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/rollouts/Canary/shop/checkout`);
    await page.getByRole("button", { name: "Resume" }).focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Not now: it is not paused by an order").waitFor({ timeout: patienceMs });
    assert.equal(await dialog.getByRole("button", { name: "Resume" }).count(), 0);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached", timeout: patienceMs });
  });

  test("a dialog stays open if a selection of text ends outside it, and an order whose dialog was closed reports its failure", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/rollouts/Canary/shop/checkout`);
    await page.getByRole("button", { name: "Approve" }).click();
    const dialog = page.getByRole("dialog");
    const field = await dialog.getByRole("textbox").boundingBox();
    assert.ok(field !== null);
    await page.mouse.move(field.x + field.width / 2, field.y + field.height / 2);
    await page.mouse.down();
    await page.mouse.move(4, field.y);
    await page.mouse.up();
    assert.equal(await dialog.count(), 1, "the dialog is still open");
    const asked = Promise.withResolvers<undefined>();
    const closed = Promise.withResolvers<undefined>();
    await page.route("**/api/action", async (route) => {
      asked.resolve(undefined);
      await closed.promise;
      await route.fulfill({
        status: 503,
        json: { problem: { code: "unavailable", message: "the API server is away" } },
      });
    });
    await dialog.getByRole("button", { name: "Approve" }).click();
    await asked.promise;
    await page.mouse.click(4, 4);
    await dialog.waitFor({ state: "detached", timeout: patienceMs });
    closed.resolve(undefined);
    await page
      .locator(".toast", { hasText: "Approve: shop/checkout: the API server is away" })
      .waitFor({ timeout: patienceMs });
  });

  test("a link leads to the same view, and the back button to the previous one", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/ladder?ns=shop&state=rejected`);
    await page
      .getByText("1 of 1 proxy")
      .or(page.getByText(/^1 proxy$/))
      .first()
      .waitFor({ timeout: patienceMs });
    await page.getByRole("navigation", { name: "Views", exact: true }).getByRole("link", { name: "Rollouts" }).click();
    await page.getByRole("heading", { level: 1, name: "Rollouts" }).waitFor({ timeout: patienceMs });
    assert.match(page.url(), /ns=shop/);
    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Revisions" }).waitFor({ timeout: patienceMs });
    assert.match(page.url(), /state=rejected/);
    assert.equal(await page.getByRole("button", { name: /^rejected/ }).getAttribute("aria-pressed"), "true");
  });

  test("`/` goes to the filter, `?` shows the keys, and the first Tab skips to the content", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/workloads`);
    await settled(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement?.textContent"), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("document.activeElement?.id"), "content");
    await page.keyboard.press("/");
    await until(page, 'document.activeElement?.tagName === "INPUT"');
    await page.keyboard.type("frontend");
    await until(page, 'location.hash.includes("q=frontend")');
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    const dialog = page.getByRole("dialog", { name: "Keyboard shortcuts" });
    await dialog.waitFor({ timeout: patienceMs });
    await page.evaluate("location.hash = '#/services'");
    await page.getByRole("heading", { level: 1, name: "Services" }).waitFor({ timeout: patienceMs });
    await dialog.waitFor({ state: "hidden", timeout: patienceMs });
  });

  test("the keyboard moves along the graph's edges, and the graph describes the selection", async () => {
    await using opened = await open(browser);
    const { page, errors } = opened;
    await page.goto(`${server.url}#/graph?ns=shop,istio-ingress`);
    const graph = page.getByRole("application", { name: /Traffic graph: \d+ nodes/ });
    await graph.waitFor({ timeout: patienceMs });
    await until(
      page,
      "performance.getEntriesByName('graph-update').length > 0 && document.querySelector('.graph-busy') === null",
    );
    await graph.focus();
    await page.keyboard.press("ArrowRight");
    const announcement = page.locator(".graph-stage > [aria-live]");
    await announcement.getByText(/^unknown, unknown; .* calls 1\.$/).waitFor({ timeout: patienceMs });
    await page.keyboard.press("ArrowRight");
    await announcement.getByText(/^edge-gateway, gateway in istio-ingress;/).waitFor({ timeout: patienceMs });
    // The figures change with each update, but a screen reader must hear them once.
    const said = await announcement.textContent();
    const seenAtMs = Number(await page.evaluate("performance.now()"));
    await until(page, `performance.getEntriesByName('graph-update').at(-1)?.startTime > ${seenAtMs + 1_000}`);
    assert.equal(await announcement.textContent(), said);
    await page.keyboard.press("Enter");
    const panel = page.getByRole("complementary", { name: "Details of the selection" });
    await panel.getByRole("heading", { name: "edge-gateway" }).waitFor({ timeout: patienceMs });
    assert.match(page.url(), /sel=gateway/);
    await panel.getByRole("button", { name: /checkout v1/ }).click();
    await panel.getByRole("row", { name: /checkout-v1/ }).waitFor({ timeout: patienceMs });
    assert.match((await panel.getByRole("table").textContent()) ?? "", /configured.*measured/);
    await graph.focus();
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached", timeout: patienceMs });
    assert.deepEqual(errors, []);
  });

  test("the graph goes back in time, plays from there and returns to the present, keeping its drawing while it loads", async () => {
    await using opened = await open(browser);
    const { page, errors } = opened;
    await page.goto(`${server.url}#/graph?as=graph`);
    await settled(page);
    await page.evaluate("document.querySelector('.graph-canvas').dataset.mark = 'kept'");
    const slider = page.getByRole("slider", { name: "Moment" });
    await slider.focus();
    await page.keyboard.press("Home");
    await until(page, "location.hash.includes('at=')");
    await page.getByText(/\d h( \d+ min)? ago/).waitFor({ timeout: patienceMs });
    const at = page.url();
    await page.getByRole("button", { name: "Play from here" }).click();
    await until(page, `location.href !== ${JSON.stringify(at)}`);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Live", exact: true }).click();
    await until(page, "!location.hash.includes('at=')");
    assert.equal(await page.evaluate("document.querySelector('.graph-canvas').dataset.mark"), "kept");
    assert.deepEqual(errors, []);
  });

  test("an unapplied text is restored after a visit to another view", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/config/networking.istio.io%2Fv1/VirtualService/shop/checkout`);
    const editor = page.getByRole("textbox", { name: "The object as YAML" });
    await editor.waitFor({ timeout: patienceMs });
    await editor.press("Control+End");
    await page.keyboard.type("# not yet");
    await page.getByText("changed, not applied").waitFor({ timeout: patienceMs });
    await page.getByRole("navigation", { name: "Views", exact: true }).getByRole("link", { name: "Workloads" }).click();
    await page.getByRole("heading", { level: 1, name: "Workloads" }).waitFor({ timeout: patienceMs });
    await page.goBack();
    await editor.getByText("# not yet").waitFor({ timeout: patienceMs });
  });

  test("a search in the graph counts its matches, and filters hide nodes", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/graph?ns=shop`);
    await settled(page);
    await page.getByRole("searchbox", { name: "Find in the graph" }).fill("checkout");
    await page.getByText("2 found").waitFor({ timeout: patienceMs });
    await page.locator("summary", { hasText: "Filters" }).click();
    await page.getByRole("checkbox", { name: "Hide idle nodes and edges" }).check();
    await page.getByText(/\d+ hidden by filters/).waitFor({ timeout: patienceMs });
    assert.match(page.url(), /idle=hide/);
  });

  test("a message names its line, the change is shown before it is applied, and what-if names the affected proxies", async () => {
    await using opened = await open(browser);
    const { page, errors } = opened;
    await page.goto(`${server.url}#/config/networking.istio.io%2Fv1/VirtualService/shop/checkout`);
    const editor = page.getByRole("textbox", { name: "The object as YAML" });
    await editor.waitFor({ timeout: patienceMs });
    await editor.press("Control+End");
    await page.keyboard.type("  wrong: true");
    const messages = page.getByRole("region", { name: "Messages" });
    await messages.getByText("IST0101").waitFor({ timeout: patienceMs });
    const line = Number(/line (\d+)/.exec((await messages.textContent()) ?? "")?.[1]);
    const mark = await page.locator(".cm-lint-marker-error").boundingBox();
    const text = await page
      .locator(".cm-line")
      .nth(line - 1)
      .boundingBox();
    assert.ok(
      mark !== null && text !== null && mark.y >= text.y && mark.y + mark.height <= text.y + text.height + 2,
      `the mark is at line ${line}`,
    );
    assert.deepEqual(await seriousFindings(page), []);
    await page.getByRole("button", { name: "Review and apply" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("The analyzer reports an error in it").waitFor({ timeout: patienceMs });
    assert.match(
      (await dialog.getByRole("region", { name: "The change that will be made" }).textContent()) ?? "",
      /added: .*wrong: true/,
    );
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Discard changes" }).click();
    await messages.getByText("No messages").waitFor({ timeout: patienceMs });
    await page.getByRole("button", { name: "What if?" }).click();
    await page
      .getByRole("table", { name: "What would change" })
      .getByText("cart-v1-7d4b9")
      .waitFor({ timeout: patienceMs });
    await page.goto(`${server.url}#/config/new`);
    await page.getByRole("combobox", { name: "Begin with" }).selectOption({ index: 1 });
    await page.getByRole("button", { name: "Review and apply" }).click();
    await dialog.getByText("The API server would accept the change").waitFor({ timeout: patienceMs });
    await dialog.getByRole("button", { name: "Apply" }).click();
    await page.locator(".toast", { hasText: "Applied: VirtualService shop/checkout" }).waitFor({ timeout: patienceMs });
    assert.deepEqual(errors, []);
  });

  test("a change that conflicts with another user's is refused with the reason, and the text stays", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/config/networking.istio.io%2Fv1/VirtualService/shop/checkout`);
    const editor = page.getByRole("textbox", { name: "The object as YAML" });
    await editor.waitFor({ timeout: patienceMs });
    await editor.press("Control+End");
    await page.keyboard.type("# conflict");
    await page.getByRole("button", { name: "Review and apply" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("was changed by somebody else").waitFor({ timeout: patienceMs });
    assert.equal(await dialog.getByRole("button", { name: "Apply" }).isDisabled(), true);
    await page.keyboard.press("Escape");
    assert.match((await editor.textContent()) ?? "", /# conflict/);
  });

  test("a user without a login is asked for a token and then sees the linked page; an ended session is reported", async () => {
    const closed = new PageServer();
    await closed.start(0, "--login");
    try {
      await using opened = await open(browser);
      const { page } = opened;
      await page.goto(`${closed.url}#/ladder`);
      const field = page.getByLabel("Bearer token of a Kubernetes user or service account");
      await field.fill("wrong");
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByText("the token is not taken").waitFor({ timeout: patienceMs });
      await field.fill(syntheticToken);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: "Revisions" }).waitFor({ timeout: patienceMs });
      await until(page, isLive);
      await opened.page.context().clearCookies();
      const { port } = closed;
      await closed.stop();
      await closed.start(port, "--login");
      await page.getByText("The session has ended, or the server was restarted.").waitFor({ timeout: patienceMs });
      await field.fill(syntheticToken);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: "Revisions" }).waitFor({ timeout: patienceMs });
      await until(page, isLive);
    } finally {
      await closed.stop();
    }
  });

  test("a chart that is still loading does not report missing data", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    const answer = Promise.withResolvers<void>();
    await page.route("**/api/series*", async (route) => {
      await answer.promise;
      const range = new URL(route.request().url()).searchParams;
      await route.fulfill({
        json: { timesMs: [Number(range.get("fromMs")), Number(range.get("toMs"))], values: [null, null] },
      });
    });
    await page.goto(server.url);
    await page.getByRole("slider", { name: "Requests of the whole mesh over time" }).waitFor({ timeout: patienceMs });
    assert.equal(await page.getByText(/no data/i).count(), 0);
    answer.resolve();
    await page
      .getByText(/^Nothing has been measured since .+\. A new dashboard needs some seconds\.$/)
      .first()
      .waitFor({ timeout: patienceMs });
  });

  test("on a phone each row names its namespace", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`${server.url}#/workloads`);
    await settled(page);
    assert.match(
      await page.getByRole("row").filter({ hasText: "frontend-v1" }).first().innerText(),
      /frontend-v1 (backoffice|shop)/,
    );
    await page.goto(`${server.url}#/graph?as=table`);
    await page
      .getByRole("table", { name: "Edges of the graph" })
      .getByText("edge-gateway")
      .first()
      .waitFor({ timeout: patienceMs });
    assert.match(
      await page.getByRole("table", { name: "Edges of the graph" }).innerText(),
      /edge-gateway → .* istio-ingress → \w+/,
    );
  });

  test("in a narrow window, no bar and no sheet hides what has the focus", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.setViewportSize({ width: 800, height: 900 });
    for (const view of ["a node of the graph", "workloads", "a workload's proxy"]) {
      await page.goto(`${server.url}?focus=${encodeURIComponent(view)}${views[view]}`);
      await settled(page);
      const hidden = new Set<string>();
      for (let stop = 0; stop < 45; stop += 1) {
        await page.keyboard.press("Tab");
        const name = await page.evaluate(hiddenFocus);
        if (typeof name === "string") hidden.add(name);
      }
      assert.deepEqual([...hidden], [], view);
    }
  });

  test("a rolled back rollout names the step at which it stopped, and has no step under way", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}${views["a rollout that was rolled back"]}`);
    await settled(page);
    const steps = page.getByRole("region", { name: "Steps" });
    assert.match((await steps.getByRole("listitem").nth(2).textContent()) ?? "", /^stopped here20 %/);
    assert.equal(await steps.locator("[aria-current]").count(), 0);
    assert.equal(await page.getByRole("region", { name: "The step under way" }).count(), 0);
    await page
      .getByText(/^Everything was put back at \d\d:\d\d:\d\d, in less than 1 s\.$/)
      .waitFor({ timeout: patienceMs });
  });

  test("in a contrast theme of the system, bars, lines and the chosen view still differ from their surroundings", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.emulateMedia({ forcedColors: "active", colorScheme: "dark", reducedMotion: "reduce" });
    await page.goto(`${server.url}#/rollouts/Canary/shop/checkout`);
    await settled(page);
    const colorOf = async (selector: string): Promise<string> =>
      await page.evaluate<string>(
        `getComputedStyle(document.querySelector(${JSON.stringify(selector)})).backgroundColor`,
      );
    assert.notEqual(await colorOf(".weight-track i"), await colorOf(".weight-track"));
    assert.notEqual(await colorOf(".nav a[aria-current]"), await colorOf(".nav a:not([aria-current])"));
    assert.notEqual(await colorOf(".live-dot"), await colorOf("body"));
    // Without colours of its own, a canvas would only have the colour of texts.
    await until(
      page,
      `[...document.querySelectorAll("canvas")].some((canvas) => {
        if (canvas.width === 0) return false;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let at = 0; at < data.length; at += 4)
          if (data[at + 3] === 255 && data[at + 2] > data[at] + 60) return true;
        return false;
      })`,
    );
  });

  test("a lost server is reported with the age of the data, and the page recovers by itself", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/ladder`);
    await settled(page);
    const status = page.locator(".live");
    await until(page, isLive);
    const { port } = server;
    await server.stop();
    await status.getByText(/reconnecting since \d\d:\d\d:\d\d/).waitFor({ timeout: patienceMs });
    await page.getByText(/what is shown is \d+ s old/).waitFor({ timeout: patienceMs });
    assert.ok(
      (await page.getByRole("table", { name: "Parts of the mesh by revision" }).getByRole("row").count()) > 1,
      "what was known is still shown",
    );
    await server.start(port);
    await until(page, isLive);
    assert.equal(await page.getByText(/what is shown is/).count(), 0);
  });

  test("the page says that a user's token has expired, and continues without a login", async () => {
    await using opened = await open(browser);
    const { page } = opened;
    await page.goto(`${server.url}#/ladder`);
    await settled(page);
    await until(page, isLive);
    const session = (await (await page.request.get(`${server.url}api/session`)).json()) as Readonly<
      Record<string, unknown>
    >;
    await page.route(
      "**/api/session",
      async (route) => await route.fulfill({ json: { ...session, authentication: "anonymous", user: "" } }),
    );
    const { port } = server;
    await server.stop();
    await page
      .locator(".live")
      .getByText(/reconnecting/)
      .waitFor({ timeout: patienceMs });
    await server.start(port);
    await page.getByText(/The session of ana@example.org has ended: .*log in again/).waitFor({ timeout: patienceMs });
    assert.deepEqual(await seriousFindings(page), []);
    assert.equal(await page.getByRole("link", { name: "log in again" }).getAttribute("href"), "#/login");
  });
});

interface Opened extends AsyncDisposable {
  readonly page: Page;
  readonly errors: readonly string[];
}

async function open(browser: Browser): Promise<Opened> {
  const context: BrowserContext = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") errors.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => errors.push(error.stack ?? error.message));
  return { page, errors, [Symbol.asyncDispose]: async () => await context.close() };
}

async function drawn(page: Page): Promise<void> {
  await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
}

async function dress(page: Page, { width, height, colorScheme }: (typeof looks)[number]): Promise<void> {
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
}

/** Polls from outside the page, because the page's content security policy forbids code that is made from text. */
async function until(page: Page, expression: string): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  while (!(await page.evaluate<boolean>(expression))) {
    if (performance.now() > deadlineMs) throw new Error(`it did not come true: ${expression}`);
    await delay(50);
  }
}

async function settled(page: Page): Promise<void> {
  try {
    await page.locator("#content h1").waitFor({ timeout: patienceMs });
    await until(page, 'document.querySelector(".skeleton") === null');
  } catch (error) {
    throw new Error(`the view does not come: ${await page.locator("body").innerText()}`, { cause: error });
  }
}

interface Finding {
  readonly impact: string | null;
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/**
 * Options of axe that leave out the rules whose impact is less than serious. axe gives a finding the impact of its
 * rule, so these rules never find what is looked for here.
 */
const withoutMilderRules = `{
  resultTypes: ["violations"],
  rules: Object.fromEntries(
    axe._audit.rules
      .filter(({ impact }) => impact === "minor" || impact === "moderate")
      .map(({ id }) => [id, { enabled: false }]),
  ),
}`;

/** Runs these rules of axe, or all whose findings may be serious. */
async function seriousFindings(page: Page, rules?: readonly string[]): Promise<readonly string[]> {
  if (!(await page.evaluate<boolean>("'axe' in globalThis"))) await page.evaluate(axe.source);
  const violations = await page.evaluate<readonly Finding[]>(
    `axe.run(document, ${rules === undefined ? withoutMilderRules : JSON.stringify({ resultTypes: ["violations"], runOnly: rules })}).then(({ violations }) => violations)`,
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map(({ html, failureSummary = "" }) => `${html.slice(0, 200)} (${failureSummary.slice(0, 300)})`)
          .join("; ")}`,
    );
}

const maxTabs = 80;

async function tabTo(page: Page, text: string): Promise<void> {
  for (let i = 0; i < maxTabs; i += 1) {
    const reached = await page.evaluate<readonly string[]>(
      "[document.activeElement?.getAttribute('name') ?? '', document.activeElement?.textContent.trim() ?? '']",
    );
    if (reached.includes(text)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab does not lead to “${text}”`);
}
