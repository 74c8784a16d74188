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

test("names in the object itself are shown", () => {
  const own = { ...objects, configs: [virtualService("shop", "gated", { gateways: ["bank/none"] })] };
  const found = visibleMessages(
    configMessagesOf({ ...noObjects, ...own }, new Set()),
    input(own).inventory,
    new Set(["shop"]),
  );
  assert.match(JSON.stringify([...found.byObject]), /bank\/none/);
});
