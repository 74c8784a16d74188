import assert from "node:assert/strict";
import { test } from "node:test";
import { authorityIn, secretFacts } from "../../src/controlplane/ingest/secret-facts.ts";
import type { SecretFacts } from "../../src/controlplane/model/secret-facts.ts";
import { rootsResource, secretResource } from "../../src/controlplane/translate/secret-resource.ts";
import { attackerStaples, certificates, keys, lists } from "./attacker-secrets.ts";
import { secretFaults } from "./envoy-secrets.ts";
import { rarePair, revocationList, shortPair, stapledPair, staples, type Pair } from "./odd-certificates.ts";

const maxStapledBytes = 20_000;
const inBase64 = (text: string): string => Buffer.from(text).toString("base64");

/** What an Envoy rejects of a certificate that is sent to it unchanged. */
function faultsOf({ certificate, privateKey }: Pair, ocspStaple?: string): string {
  const keyPair: SecretFacts["keyPair"] = {
    value: { certificateChain: certificate, privateKey, ...(ocspStaple === undefined ? {} : { ocspStaple }) },
  };
  const facts = { namespace: "a", name: "b", exists: true, keyPair, authority: { fault: "" } };
  const resource = secretResource("r", facts, { part: "keyPair", isServer: true });
  return resource === undefined ? "" : secretFaults(resource).join();
}

test("the judge of secrets finds what an Envoy 1.40 rejects", () => {
  assert.match(faultsOf(shortPair), /the key is rsa 1024/);
  assert.match(faultsOf(rarePair), /the key is ec secp256k1/);
  assert.match(faultsOf(stapledPair), /requires a staple/);
  assert.equal(faultsOf(stapledPair, staples.good), "");
  const { good: _good, ...others } = staples;
  for (const [name, staple] of Object.entries(others)) assert.match(faultsOf(stapledPair, staple), /it /, name);
  const { certificate, privateKey } = stapledPair;
  const open = "-----BEGIN FOO-----\nAAAA\n";
  assert.match(faultsOf({ certificate: certificate + open, privateKey }, staples.good), /FOO has no end/);
  assert.match(faultsOf({ certificate, privateKey: open + privateKey }, staples.good), /FOO is not base64|FOO ends as/);
  const roots = (text: string, revocations: string): string[] => {
    const resource = rootsResource("r", { value: { certificates: text, revocations } });
    return resource === undefined ? [] : secretFaults(resource);
  };
  assert.deepEqual(roots(certificate, revocationList), []);
  for (const broken of lists.filter((list) => list.includes("AAAA") && list !== revocationList)) {
    assert.equal(roots(certificate, broken).length, 1, broken);
    assert.equal(roots(certificate + broken, "").length, 1, broken);
  }
});

test("an Envoy accepts every secret that the control plane sends for an attacker's texts", () => {
  const metadata = { namespace: "evil", name: "pair" };
  let sent = 0;
  for (const certificate of certificates) {
    for (const list of lists) {
      const resource = rootsResource("roots", authorityIn({ "ca.crt": certificate, "ca.crl": list }));
      if (resource !== undefined) sent += 1;
      assert.deepEqual(resource === undefined ? [] : secretFaults(resource), []);
    }
    // A long chain takes long to read, and staples are only about its first certificate.
    const offered = certificate.length > maxStapledBytes ? [""] : ["", ...attackerStaples];
    for (const key of keys)
      for (const staple of offered) {
        const data = { "tls.crt": inBase64(certificate), "tls.key": inBase64(key), "tls.ocsp-staple": staple };
        const resource = secretResource("pair", secretFacts({ metadata, data }), { part: "keyPair", isServer: true });
        if (resource !== undefined) sent += 1;
        assert.deepEqual(resource === undefined ? [] : secretFaults(resource), []);
      }
  }
  assert.ok(sent > 100, `${sent} secrets are sent`);
});
