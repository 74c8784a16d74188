import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { TestAuthority } from "../../net/testing/index.ts";
import { plainTlsSpec } from "../testing/plain-specs.ts";
import { nameTrouble, peerTrouble } from "./peer-verification.ts";
import type { SubjectAltNameMatcher, TlsSpec } from "./tls-spec.ts";

const spec = (more: Partial<TlsSpec>): TlsSpec => ({ ...plainTlsSpec, ...more });

test("a peer is identified by its names, its key or its certificate", async () => {
  const authority = await TestAuthority.create();
  const shop = new X509Certificate(
    (await authority.issue({ spiffe: "spiffe://td/ns/a/sa/shop", dns: "*.Shop.test" })).certificateChain,
  );
  const cases: readonly (readonly [Partial<SubjectAltNameMatcher>, boolean])[] = [
    [{ type: "uri", value: "spiffe://td/ns/a/sa/shop" }, true],
    [{ type: "uri", value: "spiffe://td/ns/a/sa/sho" }, false],
    [{ type: "dns", value: "spiffe://td/ns/a/sa/shop" }, false],
    [{ type: "any", match: "prefix", value: "spiffe://td/" }, true],
    [{ type: "any", match: "suffix", value: "/sa/shop" }, true],
    [{ type: "any", match: "contains", value: "/ns/b/" }, false],
    [{ type: "uri", match: "regex", value: "spiffe://td/ns/[a-c]/sa/.*" }, true],
    [{ type: "uri", match: "regex", value: "td/ns/a" }, false],
    [{ type: "uri", value: "SPIFFE://td/ns/a/sa/shop", ignoreCase: true }, true],
    [{ type: "dns", value: "www.shop.test" }, true],
    [{ type: "dns", value: "a.b.shop.test" }, false],
    [{ type: "ip", value: "10.0.0.1" }, false],
  ];
  for (const [matcher, expected] of cases) {
    const fullMatcher: SubjectAltNameMatcher = {
      type: "any",
      match: "exact",
      value: "",
      ignoreCase: false,
      ...matcher,
    };
    assert.equal(
      peerTrouble(shop, spec({ subjectAltNames: [fullMatcher] }), false) === undefined,
      expected,
      JSON.stringify(matcher),
    );
  }
  const key = createHash("sha256")
    .update(shop.publicKey.export({ type: "spki", format: "der" }))
    .digest("base64");
  assert.equal(peerTrouble(shop, spec({ publicKeyHashes: ["other", key] }), false), undefined);
  assert.match(peerTrouble(shop, spec({ publicKeyHashes: ["other"] }), false) ?? "", /public key/);
  assert.equal(
    peerTrouble(shop, spec({ certificateHashes: [createHash("sha256").update(shop.raw).digest("hex")] }), false),
    undefined,
  );
  assert.equal(peerTrouble(undefined, spec({}), false), undefined);
  assert.match(peerTrouble(undefined, spec({ certificateHashes: ["x"] }), false) ?? "", /no certificate/);
  assert.equal(nameTrouble(shop, "www.shop.test", false), undefined);
  assert.match(nameTrouble(shop, "other.test", false) ?? "", /not for other\.test/);
});

test("a wildcard stands for the first label of a host, and for no part of another name", async () => {
  const authority = await TestAuthority.create();
  const expected = "spiffe://cluster.local/ns/shop/sa/web";
  const trouble = async (
    name: { readonly spiffe?: string; readonly dns?: string },
    value: string,
    type: "uri" | "any",
  ) =>
    peerTrouble(
      new X509Certificate((await authority.issue(name)).certificateChain),
      spec({ subjectAltNames: [{ type, match: "exact", value, ignoreCase: false }] }),
      false,
    );
  assert.equal(await trouble({ spiffe: expected }, expected, "any"), undefined);
  for (const type of ["uri", "any"] as const)
    assert.match((await trouble({ spiffe: "*.local/ns/shop/sa/web" }, expected, type)) ?? "", /the peer is/);
  assert.match((await trouble({ dns: "*.local/ns/shop/sa/web" }, expected, "any")) ?? "", /the peer is/);
  assert.equal(await trouble({ dns: "*.Shop.test" }, "www.shop.test", "any"), undefined);
});

test("where an authority may only sign for trust domains, no other name than a URI matches", async () => {
  const authority = await TestAuthority.create();
  const shop = new X509Certificate(
    (await authority.issue({ spiffe: "spiffe://td/ns/a/sa/shop", dns: "shop.test" })).certificateChain,
  );
  const named = (type: SubjectAltNameMatcher["type"], value: string): TlsSpec =>
    spec({ subjectAltNames: [{ type, match: "exact", value, ignoreCase: false }] });
  for (const type of ["dns", "any"] as const)
    assert.match(
      peerTrouble(shop, named(type, "shop.test"), true) ?? "",
      /the peer is spiffe:\/\/td\/ns\/a\/sa\/shop, expected shop\.test/,
    );
  assert.equal(peerTrouble(shop, named("any", "spiffe://td/ns/a/sa/shop"), true), undefined);
  assert.match(nameTrouble(shop, "shop.test", true) ?? "", /may not sign for shop\.test/);
});
