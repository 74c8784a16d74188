import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import { userError } from "../../base/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";
import { LocalForward } from "./local-forward.ts";

const pod = (
  name: string,
  labels: Readonly<Record<string, string>>,
  phase: "Running" | "Pending" = "Running",
): Pod => ({ metadata: { name, namespace: "istio-system", labels }, status: { phase } });

async function run(line: string, pods: readonly Pod[]): Promise<FakeContext> {
  const context = new FakeContext({ objects: { Pod: pods } });
  await createProgram(context).parseAsync(line.split(" "), { from: "user" });
  return context;
}

test("a missing addon is reported with the file to apply", async () => {
  await assert.rejects(
    run("dashboard kiali", []),
    /kiali is not installed: no pod with the label app=kiali in namespace istio-system or default/,
  );
  await assert.rejects(
    run("d prometheus -n mon", []),
    (error: { hint?: string }) => error.hint?.includes("kubectl apply -f samples/addons/prometheus.yaml") === true,
  );
});

test("a pod that is not running, and a missing proxy name, are reported", async () => {
  await assert.rejects(
    run("dash grafana", [pod("g", { app: "grafana" }, "Pending")]),
    /pod g\.istio-system is Pending/,
  );
  await assert.rejects(run("dashboard proxy", []), /no proxy is selected/);
  await assert.rejects(
    run("dashboard istiod-debug x -r canary", []),
    /exclude each other: pass one of them to select the control plane/,
  );
  await assert.rejects(run("dashboard kiali --port 70000", []), /a port must be a number from 0 to 65535/);
});

test("the page is served locally if no pod serves it, or on request", async () => {
  const served = await run("dashboard --no-browser", []);
  assert.deepEqual(served.served, [
    { istioNamespace: "istio-system", host: "localhost", ports: [20_001, 0], prometheusUrl: undefined },
  ]);
  assert.match(served.output, /http:\/\/localhost:20001\/enter\?secret=s\n/);
  const local = await run("dashboard --local -p 8080 --prometheus-url http://prometheus:9090/ --no-browser", [
    pod("k", { app: "kiali" }),
  ]);
  assert.deepEqual(local.served, [
    { istioNamespace: "istio-system", host: "localhost", ports: [8080], prometheusUrl: "http://prometheus:9090" },
  ]);
  await assert.rejects(run("dashboard --prometheus-url nowhere", []), /expected http:\/\/… or https:\/\/…/);
});

test("the value of a flag is never read as a verb", async () => {
  await assert.rejects(
    run("dashboard --prometheus-url prometheus", []),
    /expected http:\/\/… or https:\/\/…, got "prometheus"/,
  );
  await assert.rejects(run("dashboard -p 8080 kiali", []), /kiali is not installed/);
});

test("the page is served locally if the user may not list pods", async () => {
  const context = new FakeContext({ refusals: { Pod: userError("forbidden", "pods is forbidden") } });
  await createProgram(context).parseAsync(["dashboard", "--no-browser"], { from: "user" });
  assert.equal(context.served.length, 1);
});

test("the list shows what is installed", async () => {
  const { output } = await run("dashboard list", [pod("p", { "app.kubernetes.io/name": "prometheus" })]);
  assert.match(output, /prometheus +running +p\.istio-system +9090/);
  assert.match(output, /kiali +not installed +20001/);
});

async function echoed(
  ports: readonly number[],
  failed: (reason: string) => void = () => undefined,
): Promise<{ forward: LocalForward; port: number; close: () => void }> {
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  const open = async () =>
    connect({ port: (echo.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const forward = new LocalForward({ address: "127.0.0.1", ports, open, failed });
  return { forward, port: await forward.listen(), close: () => void (forward.close(), echo.close()) };
}

test("forwarded connections pass data in both directions, and end when either side ends", async () => {
  const { port, close } = await echoed([0]);
  try {
    const socket = connect(port, "127.0.0.1");
    socket.end("hello");
    assert.equal(await text(socket), "hello");
  } finally {
    close();
  }
});

test("an occupied port is replaced by a free one, unless the user chose it", async () => {
  const first = await echoed([0]);
  try {
    const second = await echoed([first.port, 0]);
    assert.notEqual(second.port, first.port);
    second.close();
    const forward = new LocalForward({
      address: "127.0.0.1",
      ports: [first.port],
      open: async () => assert.fail(),
      failed: () => undefined,
    });
    await assert.rejects(forward.listen(), /cannot listen on port/);
  } finally {
    first.close();
  }
});

test("a connection that cannot be forwarded is closed and reported", async () => {
  const failures: string[] = [];
  const forward = new LocalForward({
    address: "127.0.0.1",
    ports: [0],
    open: async () => await Promise.reject(new Error("refused")),
    failed: (reason) => failures.push(reason),
  });
  const socket = connect(await forward.listen(), "127.0.0.1");
  assert.equal(await text(socket), "");
  forward.close();
  assert.deepEqual(failures, ["refused"]);
});
