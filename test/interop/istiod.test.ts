// Istio's own istiod in the lab. It injects and serves Serin's sidecars. A MeshUpgrade moves namespaces from one
// revision of istiod to another, and between istiod and Serin in both directions.
import assert from "node:assert/strict";
import { copyFileSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { ServedPage } from "../../scripts/proofs/dashboard-proof/served-page.ts";
import { launchChromium } from "../support/chromium.ts";
import { changeUnderLoad } from "../support/change-under-load.ts";
import { eventually } from "../support/eventually.ts";
import { kubectls, type Kubectl } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { PodLoad } from "../support/pod-load.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const ladderTimeoutMs = 60_000;

const istiod = process.env["ISTIOD"];
const helm = join(root, ".cache/helm/helm-3");
const charts = join(root, ".cache/interop/istio-charts");
const samples = join(root, "samples");
const why =
  "ISTIOD names no pilot-discovery; scripts/fetch/istiod.sh builds one: ISTIOD=.cache/interop/pilot-discovery npm run interop";

const [kubectl] = kubectls().slice(-1);

if (istiod === undefined) process.stderr.write(`no proof with a real istiod: ${why}\n`);
else describe("a real istiod", () => proof(resolve(istiod), kubectl));

function proof(program: string, shellKubectl: Kubectl | undefined): void {
  assert.ok(shellKubectl);
  const guide = new Walkthrough("interop-istiod", shellKubectl);
  const { lab } = guide;
  const ok = async (line: string): Promise<string> => await guide.ok(line);
  const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));

  before(async () => {
    for (const [file, script] of [
      [program, "fetch/istiod.sh"],
      [charts, "fetch/istiod.sh"],
      [helm, "fetch/helm.sh 3"],
    ] as const)
      assert.ok(existsSync(file), `there is no ${file}: scripts/${script} puts it there`);
    const created = await lab.create();
    assert.equal(created.code, 0, created.output);
    copyFileSync(join(import.meta.dirname, "istiod/images.yaml"), join(lab.stateDirectory, "images.yaml"));
  });
  after(async () => await lab.delete());

  /** Runs a MeshUpgrade to its end under load, of which no request may fail. */
  async function move(name: string, from: string, to: string): Promise<void> {
    const object = {
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind: "MeshUpgrade",
      metadata: { name },
      spec: {
        from: { revision: from },
        to: { revision: to },
        scope: { ztunnel: false, cni: false, waypoints: false, gateways: false, tags: false },
        retire: "Manual",
        checks: [{ type: "mtls-probe-matrix", minSamples: 24 }],
      },
    };
    await underLoad(async () => {
      await ok(`serin upgrade start -f - <<< '${JSON.stringify(object)}'`);
      // Before it retires the old revision, the MeshUpgrade waits for a person.
      const { code, output } = await lab.shell(
        `kubectl wait meshupgrade/${name} --for=jsonpath='{.status.phase}'=Paused --timeout=240s`,
        { timeoutMs: 250_000 },
      );
      assert.equal(code, 0, `${output}\n${(await lab.shell(`serin upgrade status ${name}`)).output}`);
      await revisionIs(to);
    });
  }

  async function underLoad(body: () => Promise<void>): Promise<void> {
    const load = new PodLoad(lab, {
      namespace: "outside",
      workload: "deploy/curl",
      container: "curl",
      urls: ["http://httpbin.shop:8000/status/200"],
    });
    await changeUnderLoad(load, body);
  }

  async function revisionIs(revision: string): Promise<void> {
    // A pod that terminates counts as Running until it is gone.
    const only = new RegExp(`^(istiod-${revision}\\.istio-system\\.svc:15012\\n?)+$`);
    await eventually(`httpbin is of ${revision} alone`, async () =>
      only.test(
        await ok(
          `kubectl -n shop get pods -l app=httpbin --field-selector=status.phase=Running -o jsonpath='{range .items[*]}{range .spec.initContainers[*].env[?(@.name=="CA_ADDR")]}{.value}{"\\n"}{end}{end}'`,
        ),
      ),
    );
    const headers = await ok("kubectl -n shop exec deploy/curl -c curl -- curl -s http://httpbin:8000/headers");
    assert.match(headers, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/curl/);
  }

  step("runs two revisions of upstream beside one of Serin, with one root", async () => {
    await ok("serin install --set profile=minimal --set revision=serin-1 -y");
    for (const revision of ["up-1", "up-2"]) {
      await ok(
        `${helm} template istiod ${charts}/istio-control/istio-discovery -n istio-system --set revision=${revision},global.hub=upstream,global.tag=1,pilot.autoscaleEnabled=false | kubectl apply -n istio-system -f -`,
      );
      await ok(`kubectl -n istio-system rollout status deployment/istiod-${revision} --timeout=200s`);
    }
  });

  step("injects and serves Serin's sidecars, and both sides prove their identity", async () => {
    await ok(
      "kubectl create namespace shop; kubectl label namespace shop istio.io/rev=up-1; kubectl create namespace outside",
    );
    await ok(
      `kubectl -n shop apply -f ${samples}/httpbin/httpbin.yaml -f ${samples}/curl/curl.yaml && kubectl -n outside apply -f ${samples}/curl/curl.yaml`,
    );
    for (const namespace of ["shop", "outside"])
      await ok(`kubectl -n ${namespace} wait pod --all --for=condition=ready --timeout=200s`);
    await revisionIs("up-1");
  });

  step("the dashboard's ladder shows upstream's proxies by their acknowledgements", async () => {
    const served = await ServedPage.start(lab, ["--local"]);
    const browser = await launchChromium();
    try {
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      await page.goto(served.url);
      await page.goto(`${page.url().replace(/#.*$/, "")}#/ladder`);
      const row = page
        .getByRole("table", { name: "Proxies" })
        .getByRole("row")
        .filter({ hasText: "shop" })
        .filter({ hasText: /httpbin-/ });
      await row
        .filter({ hasText: "synced" })
        .filter({ hasText: "up-1" })
        .waitFor({ timeout: ladderTimeoutMs })
        .catch(async (cause: unknown) => {
          throw new Error(`the page shows: ${await page.locator("#content").innerText()}`, { cause });
        });
      const shown = await page.locator("#content").innerText();
      for (const revision of ["up-1", "up-2", "serin-1"]) assert.match(shown, new RegExp(revision));
      // By default, Istio's istiod answers debug requests only from inside its pod.
      assert.doesNotMatch(shown, /does not list its proxies/);
    } finally {
      await browser.close();
      await served.stop();
    }
  });

  step("a MeshUpgrade moves a namespace between two revisions of upstream, and back", async () => {
    await move("upstream", "up-1", "up-2");
    await underLoad(async () => {
      await ok("serin upgrade rollback upstream");
      assert.equal((await lab.shell("serin upgrade status upstream -w --timeout 240", { timeoutMs: 250_000 })).code, 3);
      await revisionIs("up-1");
    });
  });

  step("a MeshUpgrade moves a namespace from upstream to Serin, and back", async () => {
    await move("to-serin", "up-1", "serin-1");
    await underLoad(async () => {
      await ok("serin upgrade rollback to-serin");
      assert.equal((await lab.shell("serin upgrade status to-serin -w --timeout 240", { timeoutMs: 250_000 })).code, 3);
      await revisionIs("up-1");
    });
  });

  step("the rollout engine asks upstream's istiods over few streams, because proxies share their limit", async () => {
    for (const revision of ["up-1", "up-2"]) {
      const log = await ok(`kubectl -n istio-system logs deployment/istiod-${revision} --tail=-1`);
      const opened = log.split("\n").filter((line) => /new connection for node:serin-rollout\./.test(line)).length;
      // The moves take minutes, in which the engine asks several times a second: it must not open a stream each time.
      assert.ok(opened > 0 && opened < 100, `the engine opened ${opened} streams to ${revision}`);
      assert.doesNotMatch(log, /exceeded rate limit/);
    }
  });
}
