import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
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

/** A certificate with a key on secp256k1, which is a secret of nobody. */
const rareCertificate = `-----BEGIN CERTIFICATE-----
MIIBaTCCARCgAwIBAgIUFpCBVLAwLDlHkGv9T1u8W7A95SQwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjgwNzAxMDVaFw0yNzAzMDgwNzAxMDVaMAwx
CjAIBgNVBAMMAXgwVjAQBgcqhkjOPQIBBgUrgQQACgNCAATcCiwlFGs2wby+rupn
sR3niJrYpT1MvoklgYujIX2FiVUsCUZxD15NcETesDKo/WKIq33gKaqB2voEjzny
W/ruo1MwUTAdBgNVHQ4EFgQUTBjCJVO19mTa5ItnTHnqiZGtDcMwHwYDVR0jBBgw
FoAUTBjCJVO19mTa5ItnTHnqiZGtDcMwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjO
PQQDAgNHADBEAiAXrtYGVvAZZn5+/7jQ0FRiEzsKkwNfpMIECQSI6Ju8ugIgFi78
MTg0asP7wuWQtlsNawHw9GBE+mKrFnbsr1m7pwA=
-----END CERTIFICATE-----
`;
/** Its key. */
const rareKey = `-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIOdvQH+eMWQ3HrEmyG8EX1YRTo1j7Dpidimdo79ngXrdoAcGBSuBBAAK
oUQDQgAE3AosJRRrNsG8vq7qZ7Ed54ia2KU9TL6JJYGLoyF9hYlVLAlGcQ9eTXBE
3rAyqP1iiKt94Cmqgdr6BI858lv67g==
-----END EC PRIVATE KEY-----
`;
/** A revocation list. */
const revocations = `-----BEGIN X509 CRL-----
MIIBZDBOAgEBMA0GCSqGSIb3DQEBCwUAMAwxCjAIBgNVBAMMAXgXDTI2MTEyODA3
MDEwNVoXDTI2MTIyODA3MDEwNVqgDjAMMAoGA1UdFAQDAgEBMA0GCSqGSIb3DQEB
CwUAA4IBAQCwQzSakkK5aa9Ytnj0Ky2vOr6DMz/2rwpeUFoCZggvo+jYraeQDTgG
XQZqh5ny5bh0G/s6LnDUZHJ2938AoSj9nl1eUAWxvIQs5Zkr7OP0hmGJeEhNlgSP
Sl4esdF9OLpC374xKATSdf2SwnuuXYKIwfjpObSqleibPt9nMWxjPuJasHKZCQsb
RdPBS0hE+FJUfFVT1FkSDXPCoWUvkkUkGI1f5RPNOs87QZtTFhH39nDDVAX6zQou
oPtI6Q3dpG5XnfaL7wrYNHhYMXvslv1rY/QQqbRp5ZcJDeUwJ6Y5/Ya1fCSAw4Nh
aT1HYtYF+FivVe6oPWB0pxyR4AXxVYnb
-----END X509 CRL-----
`;

test("a key, certificate or revocation list that an Envoy would reject is a fault", () => {
  const pair = { "tls.crt": one.certificate, "tls.key": one.privateKey };
  const broken = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  const keyPair = (data: object): unknown => secretFacts(secret("x", { ...pair, ...data })).keyPair;
  const authority = (data: object): unknown =>
    secretFacts(secret("x", { "ca.crt": one.certificate, ...data })).authority;
  assert.deepEqual(keyPair({ "tls.crt": rareCertificate, "tls.key": rareKey }), {
    fault:
      "tls.key has a key that Envoys reject (ECDSA on secp256k1): use RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519",
  });
  assert.deepEqual(keyPair({ "tls.crt": `${one.certificate}\n-----BEGIN CERTIFICATE-----\nAA` }), {
    fault: "tls.crt has a certificate without an end",
  });
  assert.deepEqual(authority({ "ca.crl": revocations }), { value: { certificates: one.certificate, revocations } });
  for (const list of [broken, revocations + broken])
    assert.match(JSON.stringify(authority({ "ca.crl": list })), /ca\.crl contains something that is not a revocation/);
  assert.deepEqual(authority({ "ca.crl": "-----BEGIN X509 CRL-----\nAA" }), {
    fault: "ca.crl has a revocation list without an end",
  });
});

test("a staple that an Envoy would reject is left out", () => {
  const element = (tag: string, contents: string): string =>
    `${tag}${(0x1_82_00_00 + contents.length / 2).toString(16).slice(1)}${contents}`;
  const stapleOf = (serial: string, status = "00", count = 1): string => {
    const identity = element(
      "30",
      element("30", "") + element("04", "00") + element("04", "00") + element("02", serial),
    );
    const time = element("18", Buffer.from("20260101000000Z").toString("hex"));
    const single = element("30", identity + element("80", "") + time);
    const data = element("30", element("a2", element("04", "00")) + time + element("30", single.repeat(count)));
    const basic = element("30", data + element("30", "") + element("03", "00"));
    const bytes = element("30", element("06", "2b0601050507300101") + element("04", basic));
    return Buffer.from(element("30", element("0a", status) + element("a0", bytes)), "hex").toString("base64");
  };
  const read = (staple: string): unknown => {
    const { metadata, data } = secret("x", { "tls.crt": one.certificate, "tls.key": one.privateKey });
    const { keyPair } = secretFacts({ metadata, data: { ...data, "tls.ocsp-staple": staple } });
    return "value" in keyPair ? (keyPair.value.ocspStaple ?? keyPair.value.stapleFault) : keyPair.fault;
  };
  const serial = new X509Certificate(one.certificate).serialNumber;
  const good = stapleOf(serial);
  assert.equal(read(good), good);
  const fault = "tls.ocsp-staple is no usable response of OCSP: ";
  assert.equal(read(stapleOf("7f")), `${fault}it is about another certificate`);
  assert.equal(read(stapleOf(serial, "06")), `${fault}it has the status of a failed request`);
  assert.equal(read(stapleOf(serial, "00", 2)), `${fault}it is about several certificates`);
  assert.equal(read("AAAA"), `${fault}has the tag 0x0 where 0x30 was expected`);
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
