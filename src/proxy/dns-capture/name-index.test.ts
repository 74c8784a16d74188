import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { seededRandom } from "../../base/index.ts";
import { NameTableSchema } from "../../wire/discovery/index.ts";
import { NameIndex } from "./name-index.ts";

const info = (ips: string[], shortname = "", namespace = "") => ({
  ips,
  registry: shortname === "" ? "External" : "Kubernetes",
  shortname,
  namespace,
  altHosts: [],
});
const table = create(NameTableSchema, {
  table: {
    "web.default.svc.cluster.local": info(["10.96.0.1", "fd00::1"], "web", "default"),
    "web.other.svc.cluster.local": info(["10.96.0.2"], "web", "other"),
    "far.default.svc.cluster.example": info(["10.97.0.1"], "far", "default"),
    "api.example.com": info(["240.240.0.1"]),
    "*.wild.example": info(["240.240.0.2"]),
  },
});
const index = new NameIndex(
  table,
  {
    namespace: "default",
    domain: "default.svc.cluster.local",
    search: ["default.svc.cluster.local", "svc.cluster.local"],
  },
  seededRandom(1),
);
const addresses = (name: string) => index.find(name)?.addresses;

test("a service is found by its full name, and by shorter names within this cluster", () => {
  for (const name of ["web.default.svc.cluster.local", "web.default.svc", "web.default", "web"])
    assert.deepEqual(new Set(addresses(name)), new Set(["10.96.0.1", "fd00::1"]), name);
  assert.deepEqual(addresses("web.other"), ["10.96.0.2"]);
  assert.deepEqual(
    [addresses("far.default"), addresses("far.default.svc.cluster.example")],
    [undefined, ["10.97.0.1"]],
  );
  assert.equal(addresses("nobody.default.svc.cluster.local"), undefined);
});

test("a name with the first search domain is answered by a CNAME, and wildcards match at any depth", () => {
  assert.deepEqual(index.find("api.example.com.default.svc.cluster.local"), {
    addresses: ["240.240.0.1"],
    alias: "api.example.com",
  });
  assert.deepEqual(index.find("web.other.default.svc.cluster.local"), { addresses: ["10.96.0.2"], alias: "web.other" });
  assert.equal(index.find("api.example.com.svc.cluster.local"), undefined);
  assert.deepEqual(
    [addresses("a.wild.example"), addresses("a.b.wild.example"), addresses("wild.example")],
    [["240.240.0.2"], ["240.240.0.2"], undefined],
  );
});

test("an entry of any namespace gets no short name of a Service or its pods", () => {
  const service = info(["10.96.0.1"], "web", "shop");
  const entries = Object.fromEntries(
    ["web.shop", "web.shop.svc", "*.shop", "*.svc"].map((host) => [host, info(["240.240.0.66"])]),
  );
  for (const order of [
    { "web.shop.svc.cluster.local": service, ...entries },
    { ...entries, "web.shop.svc.cluster.local": service },
  ]) {
    const attacked = new NameIndex(
      create(NameTableSchema, { table: order }),
      { namespace: "default", domain: "default.svc.cluster.local", search: ["default.svc.cluster.local"] },
      seededRandom(1),
    );
    for (const name of ["web.shop", "web.shop.svc", "web.shop.default.svc.cluster.local"])
      assert.deepEqual(attacked.find(name)?.addresses, ["10.96.0.1"], name);
    for (const name of ["web-0.web.shop", "web-0.web.shop.svc", "web-0.web.shop.default.svc.cluster.local"])
      assert.equal(attacked.find(name), undefined, name);
    assert.deepEqual(attacked.find("other.shop")?.addresses, ["240.240.0.66"]);
  }
});
