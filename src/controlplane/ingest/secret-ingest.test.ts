import assert from "node:assert/strict";
import { test } from "node:test";
import { secretKind } from "../../api/kubernetes/index.ts";
import { createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { createSelfSignedAuthority } from "../ca/index.ts";
import { secretReferences, type SecretFacts, type SecretReference } from "../model/secret-facts.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { secretFacts } from "./secret-facts.ts";
import { SecretIngest } from "./secret-ingest.ts";

const encode = (data: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
const secret = (name: string, data: Readonly<Record<string, string>>) => ({
  metadata: { namespace: "edge", name },
  data: encode(data),
});
const one = await createSelfSignedAuthority("one", systemClock);
const two = await createSelfSignedAuthority("two", systemClock);

test("a secret is read under the keys of either type, and the error names its faults", () => {
  const faultOf = (part: SecretFacts["keyPair"] | SecretFacts["authority"]): string =>
    "fault" in part ? part.fault : "";
  const pair = { "tls.crt": one.certificate, "tls.key": one.privateKey };
  assert.ok("value" in secretFacts(secret("tls", pair)).keyPair);
  const generic = secretFacts(
    secret("generic", { cert: one.certificate, key: one.privateKey, cacert: two.certificate, ...pair, crl: "list" }),
  );
  assert.ok("value" in generic.authority && generic.authority.value.revocations === "list");
  assert.equal(
    faultOf(secretFacts(secret("x", { other: "1" })).keyPair),
    "it must have the keys cert and key, or tls.crt and tls.key; it has other",
  );
  assert.equal(
    faultOf(secretFacts(secret("x", { ...pair, "tls.crt": "nonsense" })).keyPair),
    "tls.crt has no certificate in PEM",
  );
  assert.equal(
    faultOf(secretFacts(secret("x", { ...pair, "tls.key": two.privateKey })).keyPair),
    "tls.key is not the key of the certificate in tls.crt",
  );
  assert.match(
    faultOf(secretFacts(secret("x", { ...pair, "tls.key": "nonsense" })).keyPair),
    /^tls.key has no private key in PEM/,
  );
  assert.equal(
    faultOf(secretFacts(secret("x", pair)).authority),
    "it must have the key cacert or ca.crt; it has tls.crt, tls.key",
  );
});

test("only referenced secrets are held; changes, absence and faults are recorded, and unreferenced ones are dropped", async () => {
  const graph = new CollectionGraph();
  const references = graph.source<SecretReference>("references");
  const secrets = graph.source<SecretFacts>("secrets");
  const lines: string[] = [];
  const log = createLogger({ scope: "pilot", level: "info", write: (line) => void lines.push(line) });
  const client = new FakeKubeClient();
  client.put(secretKind, secret("web", { "tls.crt": one.certificate, "tls.key": one.privateKey }));
  client.put(secretKind, secret("unnamed", { "tls.crt": one.certificate, "tls.key": one.privateKey }));
  const ingest = new SecretIngest({ client, references: [references], secrets, clock: systemClock, log });
  const stop = new AbortController();
  const running = ingest.run(stop.signal);
  for (const name of ["web", "gone"])
    for (const reference of secretReferences(`kubernetes://${name}`, "edge")) references.set(name, reference);
  await until(() => secrets.size === 2);
  assert.deepEqual(
    [secrets.get("edge/gone")?.exists, "value" in (secrets.get("edge/web")?.keyPair ?? {})],
    [false, true],
  );
  client.put(secretKind, secret("web", { "tls.crt": two.certificate, "tls.key": one.privateKey }));
  await until(() => "fault" in (secrets.get("edge/web")?.keyPair ?? {}));
  assert.match(
    lines.join(""),
    /a secret that a gateway asks for cannot be used.*edge\/web.*is not the key of the certificate/,
  );
  client.put(secretKind, secret("web", { "tls.crt": two.certificate, "tls.key": two.privateKey }));
  await until(() => "value" in (secrets.get("edge/web")?.keyPair ?? {}));
  references.delete("gone");
  await until(() => secrets.get("edge/gone") === undefined);
  assert.deepEqual(
    [...secrets.entries()].map(([key]) => key),
    ["edge/web"],
  );
  // The reference returns before the first watch has ended, and the secret is deleted in between.
  const [again] = secretReferences("kubernetes://web", "edge");
  references.delete("web");
  await client.delete(secretKind, "web", "edge");
  if (again !== undefined) references.set("web", again);
  await until(() => secrets.get("edge/web")?.exists === false);
  stop.abort();
  await running;
});
