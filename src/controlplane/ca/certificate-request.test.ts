import assert from "node:assert/strict";
import { generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { test } from "node:test";
import * as fc from "fast-check";
import { SerinError, systemClock } from "../../base/index.ts";
import { CertificateAuthority, createSelfSignedAuthority } from "./certificate-authority.ts";
import { readCertificateRequest } from "./certificate-request.ts";
import { Pkcs10CertificateRequestGenerator } from "./testing/csr.ts";

const authority = await CertificateAuthority.load(
  await createSelfSignedAuthority("cluster.local", systemClock),
  systemClock,
);
const algorithms = {
  "P-256": { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  "P-384": { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  "RSA 2048": {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  },
  Ed25519: { name: "Ed25519" },
} as const;

async function requestOf(algorithm: (typeof algorithms)[keyof typeof algorithms], name = "O=x"): Promise<string> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  return (
    await Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: algorithm as never })
  ).toString("pem");
}

const good = await requestOf(algorithms["P-256"]);
const isRefused = (error: unknown): boolean =>
  error instanceof SerinError && error.kind === "user" && error.code === "bad-csr";

for (const [name, algorithm] of Object.entries(algorithms)) {
  test(`a key of ${name} is signed`, async () => {
    const { chain } = await authority.signWorkload(await requestOf(algorithm), "spiffe://cluster.local/ns/a/sa/b", 60);
    const [leaf, root] = [new X509Certificate(chain[0] ?? ""), new X509Certificate(chain[1] ?? "")];
    assert.ok(leaf.verify(root.publicKey) && leaf.checkIssued(root));
    assert.equal(leaf.subjectAltName, "URI:spiffe://cluster.local/ns/a/sa/b");
  });
}

test("a request with a common name gets the identity as common name, and other requested names are ignored", async () => {
  const csr = await requestOf(algorithms["P-256"], "CN=admin, O=x");
  const leaf = new X509Certificate(
    (await authority.signWorkload(csr, "spiffe://cluster.local/ns/a/sa/b", 60)).chain[0] ?? "",
  );
  assert.equal(leaf.subject, "CN=spiffe://cluster.local/ns/a/sa/b");
  const long = new X509Certificate(
    (await authority.signWorkload(csr, `spiffe://cluster.local/ns/a/sa/${"b".repeat(64)}`, 60)).chain[0] ?? "",
  );
  assert.equal(long.subject, undefined);
});

test("weak keys, foreign signatures and malformed requests are refused with the reason", () => {
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
  assert.throws(() => readCertificateRequest("x".repeat(70_000)), /70000 characters/);
  assert.throws(
    () => readCertificateRequest(weak.publicKey.export({ type: "spki", format: "pem" }).toString()),
    /PKCS #10 in PEM/,
  );
  assert.throws(
    () => readCertificateRequest("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----"),
    /end too early/,
  );
  assert.throws(
    () => readCertificateRequest("-----BEGIN CERTIFICATE REQUEST-----\nMIICAAAA\n-----END CERTIFICATE REQUEST-----"),
    /ends after its surroundings/,
  );
  assert.throws(
    () => readCertificateRequest("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----"),
    /end too early/,
  );
});

test("a weak key is refused by its size, even if it signed its request correctly", async () => {
  const algorithm = { ...algorithms["RSA 2048"], modulusLength: 1024 };
  await assert.rejects(
    async () => readCertificateRequest(await requestOf(algorithm as never)),
    /rsa of 1024 bits, expected RSA of 2048/,
  );
});

test("an RSA key with a large public exponent is refused, because every peer would verify it slowly", async () => {
  const algorithm = { ...algorithms["RSA 2048"], publicExponent: Uint8Array.of(0xff, 0xff, 0xff, 0xfb) };
  await assert.rejects(
    async () => readCertificateRequest(await requestOf(algorithm)),
    /rsa of 2048 bits with the public exponent 4294967291, expected RSA of 2048 to 8192 bits with a public exponent of at most 31/,
  );
});

test("a mutated request is refused or still signed by its own key, and causes no other error", () => {
  const der = Buffer.from(good.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  const pem = (bytes: Buffer): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
  const edits = fc.array(fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 0, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(edits, fc.nat(der.length), (changes, end) => {
      const bytes = Buffer.from(der);
      for (const [index, value] of changes) bytes[index] = value;
      try {
        readCertificateRequest(pem(bytes));
        assert.ok(bytes.equals(der), "accepted though its bytes are others");
      } catch (error) {
        assert.ok(isRefused(error), String(error));
      }
      if (end < der.length) assert.throws(() => readCertificateRequest(pem(der.subarray(0, end))), isRefused);
    }),
    { numRuns: 300 },
  );
});

test("arbitrary text is refused", () => {
  const text = fc.oneof(
    fc.string(),
    fc.base64String().map((body) => `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----`),
    fc
      .uint8Array()
      .map(
        (bytes) =>
          `-----BEGIN NEW CERTIFICATE REQUEST-----\n${Buffer.from(bytes).toString("base64")}\n-----END NEW CERTIFICATE REQUEST-----`,
      ),
  );
  fc.assert(
    fc.property(text, (csr) => assert.throws(() => readCertificateRequest(csr), isRefused)),
    { numRuns: 500 },
  );
});

/** Malformed DER: sequences with a wrong length, long tags, nesting, trailing bytes. */
const corpus = [
  "3080",
  "30840000000030",
  "3085ffffffffff",
  "1f8101",
  "30030101",
  "3000",
  "300c3000300003080000000000000000",
  "3082".repeat(2000),
  "3084ffffffff",
];

test("requests that are crafted to mislead a reader are refused", () => {
  for (const hex of corpus) {
    const body = Buffer.from(hex, "hex").toString("base64");
    assert.throws(
      () => readCertificateRequest(`-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----`),
      isRefused,
      hex.slice(0, 40),
    );
  }
});
