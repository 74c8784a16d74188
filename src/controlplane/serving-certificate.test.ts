import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, test } from "node:test";
import {
  configMapKind,
  namespaceKind,
  secretKind,
  validatingWebhookConfigurationKind,
} from "../api/kubernetes/index.ts";
import { createLogger, silentLogger, systemClock, transientError, userError, type Clock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { createSelfSignedAuthority, type AuthorityMaterial } from "./ca/index.ts";
import { renewSelfSignedAuthority } from "./ca/certificate-authority.ts";
import { runRootCertificateController } from "./gateways/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { ControlPlaneIdentity } from "./serving-certificate.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { namespace } from "./testing/model-fixture.ts";
import { runCaBundleController } from "./webhooks/index.ts";

const dayMs = 86_400_000;
const clock: Clock & { aheadMs: number } = {
  ...systemClock,
  aheadMs: 0,
  nowMs: () => Date.now() + clock.aheadMs,
  // Waits end at once, so checks that run each minute run without a pause.
  sleep: async () => await new Promise((resolve) => setImmediate(resolve)),
};
const [first, second, partner] = await Promise.all([
  createSelfSignedAuthority("first", clock),
  createSelfSignedAuthority("second", clock),
  createSelfSignedAuthority("partner", clock),
]);
const client = new FakeKubeClient();
const stopped = new AbortController();
const identity = await ControlPlaneIdentity.create(
  {
    client,
    namespace: "istio-system",
    serviceName: "istiod",
    domain: "cluster.local",
    trustDomain: "cluster.local",
    clock,
    log: silentLogger,
  },
  stopped.signal,
);
let running: Promise<void> | undefined;
after(async () => {
  stopped.abort();
  await running;
});

const encoded = (text: string): string => Buffer.from(text).toString("base64");

test("a deleted secret is written again with the mesh's root", async () => {
  // The identity's checks run without a pause. So it starts with the first test, and not while the tests of other files
  // run.
  running = identity.run(stopped.signal);
  const before = await client.get(secretKind, "istio-ca-secret", "istio-system");
  await client.delete(secretKind, "istio-ca-secret", "istio-system");
  await until(async () => (await client.get(secretKind, "istio-ca-secret", "istio-system")) !== undefined);
  assert.deepEqual((await client.get(secretKind, "istio-ca-secret", "istio-system"))?.data, before?.data);
});

test("the serving certificate is renewed at half its lifetime", async () => {
  const before = identity.serving;
  clock.aheadMs = 46 * dayMs;
  await until(() => identity.serving !== before);
  assert.ok(identity.serving.notAfterMs > before.notAfterMs + 45 * dayMs);
});

test("a part that cannot use a new certificate does not keep it from the other parts", async () => {
  const told: string[] = [];
  identity.onChange(() => {
    if (told.push("broken") === 1) throw userError("tls-material-invalid", "no");
  });
  identity.onChange(() => void told.push("other"));
  clock.aheadMs += 46 * dayMs;
  await until(() => told.length > 0);
  assert.deepEqual(told.slice(0, 2), ["broken", "other"]);
});

test("after another authority takes over, it signs, and namespaces and webhooks get its root", async () => {
  const options = {
    client,
    root: () => identity.authority.root,
    onRootChange: (changed: () => void) => identity.onChange(changed),
    clock: systemClock,
    log: silentLogger,
  };
  client.put(namespaceKind, namespace("shop"));
  const webhook = { name: "a.istio.io", clientConfig: { service: { name: "istiod", namespace: "istio-system" } } };
  client.put(validatingWebhookConfigurationKind, {
    metadata: { name: "istio-validator" },
    webhooks: [webhook],
  } as never);
  const controllers = [
    runRootCertificateController(options, stopped.signal),
    runCaBundleController({ ...options, service: webhook.clientConfig.service }, stopped.signal),
  ];
  const trusted = async (root: string): Promise<boolean> => {
    const copy = await client.get(configMapKind, "istio-ca-root-cert", "shop");
    const configuration = await client.get(validatingWebhookConfigurationKind, "istio-validator");
    return (
      copy?.data?.["root-cert.pem"] === root && configuration?.webhooks?.[0]?.clientConfig.caBundle === encoded(root)
    );
  };
  await until(() => trusted(identity.authority.root));
  const other = await createSelfSignedAuthority("other", clock);
  client.put(secretKind, {
    metadata: { name: "cacerts", namespace: "istio-system" },
    data: {
      "ca-cert.pem": encoded(other.certificate),
      "ca-key.pem": encoded(other.privateKey),
      "root-cert.pem": encoded(other.root),
    },
  } as never);
  await until(() => trusted(other.root));
  assert.ok(new X509Certificate(identity.serving.certificate).checkIssued(new X509Certificate(other.certificate)));
  stopped.abort();
  await Promise.all(controllers);
});

/** The warnings of a control plane whose secret `cacerts` has these values, one after the other. */
async function warningsOf(
  ...states: readonly (readonly [authority: AuthorityMaterial, root: string])[]
): Promise<readonly string[]> {
  const own = new FakeKubeClient();
  const warnings: string[] = [];
  const applied: string[] = [];
  const ending = new AbortController();
  const use = ([authority, root]: (typeof states)[number]): void => {
    own.put(secretKind, {
      metadata: { name: "cacerts", namespace: "istio-system" },
      data: {
        "ca-cert.pem": encoded(authority.certificate),
        "ca-key.pem": encoded(authority.privateKey),
        "root-cert.pem": encoded(root),
      },
    } as never);
  };
  const [first, ...more] = states;
  assert.ok(first !== undefined);
  use(first);
  const log = createLogger({
    scope: "test",
    level: "info",
    write: (line) => void (line.includes("applied a changed authority") ? applied : warnings).push(line),
  });
  const options = {
    client: own,
    namespace: "istio-system",
    serviceName: "istiod",
    domain: "cluster.local",
    trustDomain: "cluster.local",
    clock,
    log,
  };
  const changing = await ControlPlaneIdentity.create(options, ending.signal);
  const ended = changing.run(ending.signal);
  try {
    for (const [index, state] of more.entries()) {
      use(state);
      await until(() => applied.length > index);
    }
  } finally {
    ending.abort();
    await ended;
  }
  return warnings.filter((line) => line.includes("unknown to its proxies"));
}

test("a root that no proxy knows is adopted with a warning, and one beside the former root without", async () => {
  const both = `${first.root}${second.root}`;
  assert.deepEqual(await warningsOf([first, first.root], [first, both], [second, both], [second, second.root]), []);
  const [warning, ...more] = await warningsOf([second, second.root], [first, first.root]);
  assert.match(warning ?? "", /let root-cert\.pem contain both roots first/);
  assert.deepEqual(more, []);
});

test("a root that a partner shares does not hide that no proxy knows the signing root", async () => {
  const beside = (root: string): string => `${root}${partner.root}`;
  const found = await warningsOf([first, beside(first.root)], [second, beside(second.root)]);
  assert.equal(found.length, 1);
});

test("proxies get a renewed root that has the same key", async () => {
  const renewed = await renewSelfSignedAuthority(first, clock);
  assert.notEqual(renewed.root, first.root);
  assert.deepEqual(await warningsOf([first, first.root], [renewed, renewed.root]), []);
});

test("a start retries while the API server is unreachable, and fails on permanent errors", async () => {
  const faults: (() => Error)[] = [
    () => transientError("unreachable", "the connection broke"),
    () => transientError("unreachable", "refused"),
  ];
  const faulty: KubeClient = new Proxy(new FakeKubeClient(), {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]): unknown => {
        const fault = name === "get" ? faults.shift() : undefined;
        if (fault !== undefined) throw fault();
        return Reflect.apply(member, target, args);
      };
    },
  });
  const create = async (): Promise<ControlPlaneIdentity> =>
    await ControlPlaneIdentity.create(
      {
        client: faulty,
        namespace: "istio-system",
        serviceName: "istiod",
        domain: "cluster.local",
        trustDomain: "cluster.local",
        clock,
        log: silentLogger,
      },
      new AbortController().signal,
    );
  assert.match((await create()).authority.root, /BEGIN CERTIFICATE/);
  assert.equal(faults.length, 0);
  faults.push(() => userError("forbidden", "secrets is forbidden"));
  await assert.rejects(create(), /secrets is forbidden/);
});
