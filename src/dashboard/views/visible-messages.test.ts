import assert from "node:assert/strict";
import { test } from "node:test";
import { configMessagesOf } from "./analysis.ts";
import { noObjects } from "./mesh-objects.ts";
import { config, input, namespace, service } from "./testing/small-mesh.ts";
import { visibleMessages } from "./visible-messages.ts";

const virtualService = (home: string, name: string, more: object = {}) =>
  config("networking.istio.io/v1", "VirtualService", home, name, {
    hosts: ["web.shop.svc.cluster.local"],
    http: [{ route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }],
    ...more,
  });
const objects = {
  namespaces: [namespace("shop"), namespace("bank")],
  services: [service("shop", "web", { app: "web" }), service("bank", "ledger", { app: "ledger" })],
  configs: [
    virtualService("shop", "web"),
    virtualService("bank", "vault"),
    virtualService("shop", "gated", { gateways: ["entry"] }),
    config("networking.istio.io/v1", "Gateway", "bank", "entry", { selector: {}, servers: [] }),
    virtualService("shop", "short", { http: [{ route: [{ destination: { host: "ledger" } }] }] }),
  ],
};
const messages = configMessagesOf({ ...noObjects, ...objects }, new Set());
const { inventory } = input(objects);
const textsOf = (visible: Parameters<typeof visibleMessages>[2], name: string): string =>
  (visibleMessages(messages, inventory, visible).byObject.get(`networking.istio.io/VirtualService shop/${name}`) ?? [])
    .map(({ code, text }) => `${code} ${text}`)
    .join("\n");

test("messages name no objects of unreadable namespaces", () => {
  assert.match(textsOf("*", "web"), /IST0109 .*bank\/vault.*shop\/web/);
  assert.match(textsOf("*", "gated"), /IST0101 .*in namespace bank: write "bank\/entry"/);
  const shop = new Set(["shop"]);
  assert.match(textsOf(shop, "web"), /IST0109 .*an object that you may not see.*shop\/web/);
  assert.match(textsOf(shop, "gated"), /IST0101 .*there is one in a namespace that you may not see/);
  assert.match(textsOf("*", "short"), /IST0101 .*similar hosts: ledger\.bank\.svc\.cluster\.local; write/);
  assert.match(textsOf(shop, "short"), /IST0101 .*similar hosts: a host that you may not see; write/);
  assert.doesNotMatch(textsOf(shop, "web") + textsOf(shop, "gated") + textsOf(shop, "short"), /bank|vault/);
  assert.equal(visibleMessages(messages, inventory, shop), visibleMessages(messages, inventory, shop));
});

test("a hidden namespace is replaced in every form of a name, and words that only look like one stay", () => {
  const found = (text: string) => ({
    byObject: new Map(),
    ofMesh: [{ code: "IST0000", level: "Warning" as const, text, path: "" }],
  });
  const { inventory: withDefault } = input({
    ...objects,
    namespaces: [...objects.namespaces, namespace("default")],
  });
  const shown = (text: string): string =>
    visibleMessages(found(text), withDefault, new Set(["shop"])).ofMesh[0]?.text ?? "";
  assert.equal(shown("see bank/ledger."), "see an object that you may not see.");
  assert.equal(shown("hosts ledger.bank, web.shop"), "hosts a host that you may not see, web.shop");
  assert.equal(shown("it exports to ./*, bank/*"), "it exports to ./*, an object that you may not see");
  assert.equal(
    shown("identity spiffe://cluster.local/ns/bank/sa/ledger"),
    "identity spiffe://an object that you may not see",
  );
  assert.equal(shown("namespaces bank and shop"), "namespaces a namespace that you may not see and shop");
  assert.equal(shown("in namespace bank, too"), "in a namespace that you may not see, too");
  assert.equal(shown("the default of banking"), "the default of banking");
  assert.equal(shown("default/web"), "an object that you may not see");
});

test("names in the object itself are shown", () => {
  const own = { ...objects, configs: [virtualService("shop", "gated", { gateways: ["bank/none"] })] };
  const found = visibleMessages(
    configMessagesOf({ ...noObjects, ...own }, new Set()),
    input(own).inventory,
    new Set(["shop"]),
  );
  assert.match(JSON.stringify([...found.byObject]), /bank\/none/);
});
