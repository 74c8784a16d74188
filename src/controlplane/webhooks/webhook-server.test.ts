import assert from "node:assert/strict";
import { request } from "node:https";
import { connect as connectTcp, type AddressInfo } from "node:net";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { readInjectionSettings, readMeshForInjection } from "../../inject/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { keyPem, makeAuthority } from "../ca/testing/authorities.ts";
import type { AdmissionAnswer } from "../../api/admission-review/index.ts";
import { serveWebhooks } from "./webhook-server.ts";

const context = {
  settings: readInjectionSettings(
    {},
    { hub: "h", tag: "1", istioNamespace: "istio-system", revision: "default", clusterName: "east", network: "" },
  ),
  mesh: readMeshForInjection({}),
  revision: "default",
  nativeSidecars: true,
  proxyConfigs: [],
};
const metrics = new MetricsRegistry();
const { certificate, key } = await makeAuthority({ name: "webhooks" });
const maxConnections = 50;
let passLimit: (() => void) | undefined;
const server = await serveWebhooks({
  address: "127.0.0.1",
  port: 0,
  certificate: { certificate, privateKey: keyPem(key), notAfterMs: Number.MAX_SAFE_INTEGER },
  scope: (namespace) => {
    // The thread asks for the scope after it has read the object's name.
    if (namespace === "slow") passLimit?.();
    return { context, namespaceLabels: {} };
  },
  metrics,
  maxConnections,
  clock: {
    ...systemClock,
    after: (_ms, run) => {
      passLimit = run;
      return { [Symbol.dispose]: () => (passLimit = undefined) };
    },
  },
  log: silentLogger,
});
after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function post(path: string, body: string | Buffer): Promise<{ readonly status: number; readonly text: string }> {
  return await new Promise((resolve, reject) => {
    const { port } = server.address() as AddressInfo;
    const target = { host: "127.0.0.1", port, path, method: "POST", rejectUnauthorized: false, agent: false };
    const outgoing = request(target, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const pod = (namespace: string, annotations: Record<string, string> = {}): string =>
  JSON.stringify({
    request: {
      uid: "7",
      kind: { group: "", version: "v1", kind: "Pod" },
      namespace,
      name: "web",
      object: { metadata: { name: "web", annotations }, spec: { containers: [{ name: "app", image: "app" }] } },
    },
  });
const responseOf = (text: string): AdmissionAnswer["response"] => (JSON.parse(text) as AdmissionAnswer).response;

test("a review that takes too long is refused with the object, the limit and a remedy, and the next one is answered", async () => {
  const { status, text } = await post("/inject", pod("slow"));
  assert.deepEqual(
    [status, responseOf(text)],
    [
      200,
      {
        uid: "7",
        allowed: false,
        status: {
          code: 422,
          message:
            'Pod "slow/web" is refused: its validation took longer than 8 s. Split it into several objects with shorter lists and less nesting',
        },
      },
    ],
  );
  const next = await post("/inject", pod("shop"));
  assert.equal(responseOf(next.text).patchType, "JSONPatch");
});

test("reviews are counted by result", async () => {
  const denied = await post("/inject", pod("shop", { "sidecar.istio.io/proxyCPU": "much" }));
  assert.equal(responseOf(denied.text).allowed, false);
  const gateway = { group: "networking.istio.io", version: "v1", kind: "Gateway" };
  const judged = await post("/validate", JSON.stringify({ request: { uid: "8", kind: gateway, object: {} } }));
  assert.equal(responseOf(judged.text).allowed, false);
  assert.equal((await post("/validate", "[")).status, 400);
  assert.equal((await post("/elsewhere", "{}")).status, 404);
  const text = renderPrometheus(metrics);
  assert.match(text, /sidecar_injection_failure_total 1\n/);
  assert.match(
    text,
    /galley_validation_failed\{group="networking\.istio\.io",version="v1",resource="gateway"[^}]*\} 1\n/,
  );
  assert.match(text, /galley_validation_http_error 1\n/);
});

test("a body beyond the limit is refused while it is read", async () => {
  const answered = await post("/validate", Buffer.alloc(9 << 20, " ")).catch((error: NodeJS.ErrnoException) => error);
  if (answered instanceof Error) assert.match(answered.message, /EPIPE|ECONNRESET|hang up/);
  else assert.match(`${answered.status} ${answered.text}`, /^400 the request is larger than 8388608 bytes/);
});

test("a client that holds connections without a handshake does not block the API server", async () => {
  const { port } = server.address() as AddressInfo;
  let accepted = 0;
  server.on("connection", () => (accepted += 1));
  // Connections from another address than the API server's.
  const held = Array.from({ length: maxConnections + 10 }, () =>
    connectTcp({ host: "127.0.0.1", localAddress: "127.0.0.2", port }).on("error", () => undefined),
  );
  try {
    await until(() => accepted >= held.length);
    const { status, text } = await post("/inject", pod("shop"));
    assert.equal(`${status} ${responseOf(text).allowed}`, "200 true");
  } finally {
    for (const socket of held) socket.destroy();
  }
});
