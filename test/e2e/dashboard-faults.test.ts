// Faults while a page is open: the dashboard is that of a user's own command, over a real API server without nodes.
// `npm run e2e:dashboard` has the faults that need a mesh.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import type { UntypedObject } from "../../src/api/index.ts";
import { ServedPage } from "../../scripts/proofs/dashboard-proof/served-page.ts";
import { startApiServer, type PlainApiServer } from "../interop/mesh/plain-api-server.ts";
import { casesInChromium, launchChromium } from "../support/chromium.ts";
import { serin } from "../support/lab-cluster.ts";

/** To create and list 5,000 pods takes 5 s on an idle machine, and 40 s at a load of 12. */
const patienceMs = 180_000;
const awayMs = 3_000;
const crowd = "crowd";
const crowdSize = 5_000;
const atOnce = 16;
/** How long a search may take from its last letter to its result, and a click until its view is there. */
const usableMs = 3_000;

const service: UntypedObject = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "shop", namespace: "default" },
  spec: { ports: [{ port: 80 }] },
};
const route: UntypedObject = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "short-lived", namespace: "default" },
  spec: { hosts: ["shop"], http: [{ route: [{ destination: { host: "shop" } }] }] },
};

casesInChromium("faults while a page is open", () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-dashboard-faults-"));
  let api: PlainApiServer;
  let served: ServedPage;
  let browser: Browser;
  let page: Page;
  let base = "";

  const serve = async (): Promise<ServedPage> => {
    const spawnHere = ([program = "", ...args]: readonly string[]) =>
      spawn(program, args, { env: { ...process.env, KUBECONFIG: api.kubeconfig }, stdio: ["ignore", "pipe", "pipe"] });
    return await ServedPage.start({ serin, spawn: spawnHere }, ["--local", "--port", "0"]);
  };
  const enter = async (): Promise<void> => {
    await page.goto(served.url);
    base = page.url().replace(/#.*$/, "");
  };

  before(async () => {
    api = await startApiServer(directory);
    for (const name of ["default", "istio-system"])
      await api.objects.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    await api.objects.create(service);
    served = await serve();
    browser = await launchChromium();
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await enter();
  });
  after(async () => {
    await browser.close();
    await served.stop();
    const ended = once(api.child, "exit");
    api.stop();
    api.child.kill("SIGKILL");
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });

  test("an open object that is deleted is reported as gone, and appears again when it is recreated", async () => {
    await api.objects.create(route);
    await page.goto(`${base}#/config/networking.istio.io%2Fv1/VirtualService/default/short-lived`);
    await page.getByRole("button", { name: "What if?" }).waitFor({ timeout: patienceMs });
    await api.objects.delete(route);
    await page.getByText("there is no VirtualService default/short-lived").waitFor({ timeout: patienceMs });
    await api.objects.create(route);
    await page
      .getByText("there is no VirtualService default/short-lived")
      .waitFor({ state: "detached", timeout: patienceMs });
    assert.match((await page.getByRole("textbox", { name: "The object as YAML" }).textContent()) ?? "", /short-lived/);
  });

  test("while the API server is unreachable the page shows the age of its data, and recovers by itself", async () => {
    await page.goto(`${base}#/services`);
    const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: "shop", exact: true }) });
    await row.waitFor({ timeout: patienceMs });
    const notice = page.getByText(
      /kubernetes: the API server does not answer.* The last report of this source is \d+ s old/,
    );
    api.child.kill("SIGSTOP");
    try {
      await notice.waitFor({ timeout: patienceMs });
      const before = Number(/(\d+) s old/.exec((await notice.textContent()) ?? "")?.[1]);
      await delay(awayMs);
      const later = Number(/(\d+) s old/.exec((await notice.textContent()) ?? "")?.[1]);
      assert.ok(later > before, `its age goes on: ${before} s, then ${later} s`);
      assert.equal(await row.count(), 1);
    } finally {
      // A server that stays stopped would hold up the other cases for ever.
      api.child.kill("SIGCONT");
    }
    await notice.waitFor({ state: "detached", timeout: patienceMs });
    await api.objects.create({ ...service, metadata: { name: "later", namespace: "default" } });
    await page.getByRole("link", { name: "later", exact: true }).waitFor({ timeout: patienceMs });
  });

  test("a namespace of 5,000 pods is listed and searched, and left again, without delay", async (t) => {
    await api.objects.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: crowd } });
    await api.objects.create({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "default", namespace: crowd },
    });
    let made = 0;
    const make = async (): Promise<void> => {
      while (made < crowdSize) await api.objects.create(podOf((made += 1)));
    };
    await Promise.all(Array.from({ length: atOnce }, make));
    const opened = performance.now();
    await page.goto(`${base}#/workloads?ns=${crowd}`);
    await page.reload();
    await page.getByText("5,000 workloads").waitFor({ timeout: patienceMs });
    const listedMs = performance.now() - opened;
    const searched = performance.now();
    await page.getByRole("searchbox", { name: "Filter workloads" }).fill("crowd-4321");
    await page.getByText("1 of 5,000 workloads").waitFor({ timeout: patienceMs });
    const searchMs = performance.now() - searched;
    const clicked = performance.now();
    await page.getByRole("link", { name: "crowd-4321", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "crowd-4321" }).waitFor({ timeout: patienceMs });
    const clickMs = performance.now() - clicked;
    t.diagnostic(
      `listed after ${Math.round(listedMs)} ms, found after ${Math.round(searchMs)} ms, its page after ${Math.round(clickMs)} ms`,
    );
    assert.ok(searchMs < usableMs && clickMs < usableMs, `found after ${searchMs} ms, its page after ${clickMs} ms`);
    await page.goto(`${base}#/overview`);
    await page
      .getByRole("table", { name: "Namespaces" })
      .getByRole("row")
      .filter({ hasText: crowd })
      .filter({ hasText: "5,000" })
      .waitFor({ timeout: patienceMs });
    await page.goto(`${base}#/graph?ns=${crowd}`);
    await page.getByRole("heading", { level: 1, name: "Graph" }).waitFor({ timeout: patienceMs });
  });

  test("a restarted command is reported with what to do, and its address admits the same browser again", async () => {
    await page.goto(`${base}#/services`);
    await page.getByRole("link", { name: "shop", exact: true }).waitFor({ timeout: patienceMs });
    await served.stop();
    await page
      .locator(".live")
      .getByText(/reconnecting since/)
      .waitFor({ timeout: patienceMs });
    await page.getByText(/what is shown is \d+ s old/).waitFor({ timeout: patienceMs });
    assert.equal(await page.getByRole("link", { name: "shop", exact: true }).count(), 1);
    served = await serve();
    await enter();
    await page.goto(`${base}#/services`);
    await page.getByRole("link", { name: "shop", exact: true }).waitFor({ timeout: patienceMs });
  });
});

/** No scheduler runs, so the pod gets no node. */
function podOf(index: number): UntypedObject {
  const name = `crowd-${index}`;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: crowd, labels: { app: name } },
    spec: { schedulerName: "nobody", containers: [{ name: "main", image: "docker.io/library/busybox:1.28" }] },
  };
}
