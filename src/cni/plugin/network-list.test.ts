import assert from "node:assert/strict";
import { test } from "node:test";
import { chained, primaryNetworkFile, standalone, unchained, type NetworkFile } from "./network-list.ts";

function file(name: string, content: unknown): NetworkFile {
  return { name, text: `${JSON.stringify(content, undefined, 2)}\n` };
}

const list = file("10-calico.conflist", {
  name: "k8s-pod-network",
  cniVersion: "0.3.1",
  disableCheck: true,
  plugins: [{ type: "calico", ipam: { type: "calico-ipam" } }, { type: "portmap" }],
});
const single = file("10-bridge.conf", { cniVersion: "0.4.0", name: "pods", type: "bridge", isGateway: true });

test("the plugin is appended to the list once, and removed without a trace", () => {
  const first = chained(list)?.to;
  assert.ok(first !== undefined);
  const content = JSON.parse(first.text) as { plugins: { type: string }[]; disableCheck: boolean };
  assert.deepEqual(
    content.plugins.map(({ type }) => type),
    ["calico", "portmap", "serin-cni"],
  );
  assert.equal(content.disableCheck, true);
  assert.equal(chained(first), undefined, "it is there already");
  assert.deepEqual(unchained(first), { from: list.name, to: list });
  assert.equal(unchained(list), undefined);
});

test("a single network becomes a list, and the original again", () => {
  const change = chained(single);
  assert.equal(change?.from, "10-bridge.conf");
  assert.equal(change.to.name, "10-bridge.conflist");
  const content = JSON.parse(change.to.text) as Record<string, unknown>;
  assert.equal(content["cniVersion"], "0.4.0");
  assert.equal(content["name"], "pods");
  assert.equal(chained(change.to), undefined);
  assert.deepEqual(unchained(change.to), { from: "10-bridge.conflist", to: single });
  // The recorded file name must not lead to another directory.
  const forged = file("a.conflist", { plugins: [{ type: "x" }, { type: "serin-cni", convertedFrom: "../b.conf" }] });
  assert.equal(unchained(forged)?.to.name, "a.conflist");
});

test("the first valid file with a plugin of the cluster is chosen", () => {
  const broken: NetworkFile = { name: "00-broken.conflist", text: "{" };
  const wrong = file("01-list.conf", { plugins: [{ type: "x" }] });
  const ours = standalone("02-own.conf");
  const other = file("05-readme.txt", { type: "x" });
  assert.equal(primaryNetworkFile([list, broken, wrong, ours, other]), list);
  assert.equal(primaryNetworkFile([ours, broken]), undefined);
  assert.equal(unchained(ours)?.to.text, "");
  assert.equal(chained(broken), undefined);
});

test("a plugin that another program appended after ours is moved before it", () => {
  const [first] = [chained(list)?.to];
  const content = JSON.parse(first?.text ?? "") as { plugins: unknown[] };
  const disturbed = file(list.name, { ...content, plugins: [...content.plugins, { type: "bandwidth" }] });
  const again = JSON.parse(chained(disturbed)?.to.text ?? "") as { plugins: { type: string }[] };
  assert.deepEqual(
    again.plugins.map(({ type }) => type),
    ["calico", "portmap", "bandwidth", "serin-cni"],
  );
});
