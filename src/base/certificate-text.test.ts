import assert from "node:assert/strict";
import { test } from "node:test";
import { alternativeNames, certificateBlocks, certificateValidity } from "./certificate-text.ts";

test("a name with a comma, a quote or a control character is one name of one kind", () => {
  const forged = "spiffe://elsewhere/x, URI:spiffe://cluster.local/ns/istio-system/sa/istiod, URI:y";
  for (const value of [forged, 'a", URI:spiffe://cluster.local/ns/a/sa/b, "', "a\\", "a\n, URI:b"]) {
    const text = `DNS:a.test, URI:${JSON.stringify(value)}, IP Address:10.0.0.1`;
    assert.deepEqual(
      alternativeNames(text),
      [
        { kind: "DNS", value: "a.test" },
        { kind: "URI", value },
        { kind: "IP Address", value: "10.0.0.1" },
      ],
      text,
    );
  }
  assert.deepEqual(alternativeNames(""), []);
  assert.deepEqual(alternativeNames("URI:spiffe://td/ns/a/sa/b"), [{ kind: "URI", value: "spiffe://td/ns/a/sa/b" }]);
});

const pem = `-----BEGIN CERTIFICATE-----
MIIBizCCATGgAwIBAgIUPfGkT9XIK7puln2oCPtV+gId3rYwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTAeFw0yNjExMjgyMTQ2MThaFw0y
NjEyMjgyMTQ2MThaMBsxGTAXBgNVBAMMEHNob3AuZXhhbXBsZS5jb20wWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAASQ3XAMo7KgEjtQXPzzFETDH6OTCtXXzkDbk9gF
UQWgGEB9jWVbUbdLTCbZqTEbVT0+jg1O/BGo1qbSlISiTGPko1MwUTAdBgNVHQ4E
FgQUY/RT/f+s0vRF71GSi//e4hPfF84wHwYDVR0jBBgwFoAUY/RT/f+s0vRF71GS
i//e4hPfF84wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA/Ser
gG5xs+ILh2i2nP/OryMK6AbOIY5HSy6rpatRacgCIDHTeEoiIkW7QNQZiBxKzEhq
rBFJdiLDW5aBoqlwuqR0
-----END CERTIFICATE-----`;

test("the certificates of a text are its blocks between BEGIN and END, without keys, comments and cut blocks", () => {
  const key = pem.replaceAll("CERTIFICATE", "PRIVATE KEY");
  assert.deepEqual(certificateBlocks(`a chain:\n${pem}\n${key}\n# root\n${pem}\n${pem.slice(0, 200)}`), [pem, pem]);
  assert.deepEqual(certificateBlocks(`${pem.slice(0, 200)}\n${pem}`), [pem]);
  assert.deepEqual(certificateBlocks(""), []);
});

test("the validity of a PEM text's first certificate is read, and a text without one has none", () => {
  const validity = { notBeforeMs: Date.UTC(2026, 10, 28, 21, 46, 18), notAfterMs: Date.UTC(2026, 11, 28, 21, 46, 18) };
  assert.deepEqual(certificateValidity(`a chain:\n${pem}\n`), validity);
  assert.equal(certificateValidity(pem.replace("MIIBizCC", "MIIBizCD")), undefined, "it is longer than the text");
  for (const text of ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", pem.slice(0, 200)])
    assert.equal(certificateValidity(text), undefined, text);
});
