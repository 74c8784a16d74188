import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { until } from "../base/testing/index.ts";
import { injectPod, readInjectionSettings, readMeshForInjection } from "../inject/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";

requireOwnNetwork();

const root = join(import.meta.dirname, "../..");

/** A neighbour that accepts every packet and answers none, as the address of a Service without endpoints does. */
const silentAddress = "10.9.9.2";
const synSent = "02";

function ip(...args: readonly string[]): void {
  execFileSync("ip", args);
}

/** Whether a connection waits for the answer to its SYN. */
function isConnecting(): boolean {
  const lines = readFileSync("/proc/net/tcp", "utf8").trim().split("\n").slice(1);
  return lines.some((line) => line.trim().split(/\s+/)[3] === synSent);
}

test("a process that gets a signal ends when its work is done, even with an unanswered connection", async () => {
  ip("link", "set", "lo", "up");
  ip("link", "add", "near", "type", "veth", "peer", "name", "far");
  for (const name of ["near", "far"]) ip("link", "set", name, "up");
  ip("address", "add", "10.9.9.1/24", "dev", "near");
  ip("neighbour", "add", silentAddress, "lladdr", "02:00:00:00:00:02", "dev", "near");
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), "proxy", "router"], {
    env: {
      ...process.env,
      CA_ADDR: `${silentAddress}:15012`,
      PROXY_CONFIG: JSON.stringify({
        discoveryAddress: `${silentAddress}:15010`,
        terminationDrainDuration: "1s",
      }),
      POD_NAME: "gateway",
      POD_NAMESPACE: "shop",
      INSTANCE_IP: "10.9.9.1",
    },
    stdio: "ignore",
  });
  const limit = setTimeout(() => child.kill("SIGKILL"), 40_000);
  await until(() => {
    assert.equal(child.exitCode ?? child.signalCode, null, "the process ended before it connected");
    return isConnecting();
  });
  child.kill("SIGTERM");
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  clearTimeout(limit);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
});

function preStopCommand(): readonly string[] {
  const settings = readInjectionSettings(
    {},
    {
      hub: "ghcr.io/serin-mesh",
      tag: "1",
      istioNamespace: "istio-system",
      revision: "default",
      clusterName: "Kubernetes",
      network: "",
    },
  );
  const outcome = injectPod(
    {
      pod: { metadata: { name: "web" }, spec: { containers: [{ name: "app", image: "app:1" }] } },
      namespace: "shop",
      namespaceLabels: {},
    },
    { settings, mesh: readMeshForInjection({}), revision: "default", nativeSidecars: true, proxyConfigs: [] },
  );
  assert.equal(outcome.kind, "injected");
  const sidecar = outcome.pod.spec?.initContainers?.find(({ name }) => name === "istio-proxy");
  return sidecar?.lifecycle?.preStop?.exec?.command ?? [];
}

function aliasedWords(name: string): readonly string[] {
  const catalogue = parse(readFileSync(join(root, "manifests/images.yaml"), "utf8")) as {
    readonly images: readonly { readonly entrypoint: readonly string[]; readonly aliases?: readonly string[] }[];
  };
  const entry = catalogue.images.find(({ aliases }) => aliases?.includes(name));
  assert.ok(entry !== undefined, `no image of the catalogue has the program ${name}`);
  return entry.entrypoint;
}

test("the preStop hook of an injected sidecar leaves a file where its proxy watches for one, without a Node", () => {
  const [program = "", ...words] = preStopCommand();
  const script = `
    mount -t tmpfs none /etc && mkdir -p /etc/istio/proxy/orders
    # A Node that the script would start fails.
    SERIN_FROM_SOURCE=1 NODE_OPTIONS=--no-such-option "$@"
    ls /etc/istio/proxy/orders`;
  const command = [...aliasedWords(program), ...words];
  const output = execFileSync("unshare", ["--mount", "sh", "-euc", script, "sh", ...command], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${join(root, "bin")}:${process.env["PATH"] ?? ""}` },
  });
  assert.equal(output.trim(), "drain");
});
