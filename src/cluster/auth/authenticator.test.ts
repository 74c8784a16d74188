import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { distinguishedName, X509Signer } from "../../x509/index.ts";
import { userOfSubject } from "./authenticator.ts";

const soonMs = Date.parse("2026-01-01T00:00:00Z");

function certificateOf(commonName: string, ...organizations: string[]): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = distinguishedName({ commonName, organizations });
  const pem = new X509Signer(privateKey).certificate({
    issuer: subject,
    subject,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    notBeforeMs: soonMs,
    notAfterMs: soonMs + 60_000,
    extensions: [],
  });
  return new X509Certificate(pem).raw;
}

test("user and groups are the subject's own characters, whatever a text form of it would escape", () => {
  for (const name of ["a\nb", "a\\0Ab", "a0Ab", "CN=x", "a+O=system:masters", "a, O=b", ' "é" ', "a\u0000b"]) {
    const user = userOfSubject(certificateOf(name, name, "team"));
    assert.deepEqual([user?.name, user?.groups], [name, [name, "team", "system:authenticated"]], JSON.stringify(name));
  }
});

test("a certificate without a common name gives no user", () => {
  assert.equal(userOfSubject(certificateOf("")), undefined);
});
