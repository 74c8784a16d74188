import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../json.ts";
import { Check } from "./check.ts";
import { networkPolicy } from "./network-policy.ts";

function faults(spec: JsonObject): string[] {
  const check = new Check();
  networkPolicy({ metadata: { name: "p" }, spec }, undefined, check);
  // Remove the kind of the fault and the value, with which a message begins.
  return check.errors.map(({ field, message }) => `${field}: ${message.replace(/^[^:]*: (".*?": |\d+: )?/, "")}`);
}

test("a valid policy of each field has no fault", () => {
  const peers = [
    { podSelector: {} },
    { namespaceSelector: { matchLabels: { a: "b" } }, podSelector: {} },
    { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
    { ipBlock: { cidr: "2001:db8::/64", except: ["2001:db8::/96"] } },
  ];
  const ports = [{}, { port: "http" }, { port: 80, protocol: "UDP" }, { port: 80, endPort: 90 }];
  assert.deepEqual(faults({ podSelector: {}, ingress: [{ from: peers, ports }], egress: [{ to: peers, ports }] }), []);
});

test("a port, range, peer or block that cannot become a rule is refused, and the error has its path", () => {
  const port = (value: JsonObject): string | undefined => faults({ ingress: [{ ports: [value] }] })[0];
  const at = "spec.ingress[0].ports[0]";
  assert.match(port({ protocol: "ICMP" }) ?? "", /^spec\.ingress\[0\]\.ports\[0\]\.protocol: /);
  assert.equal(port({ endPort: 90 }), `${at}.endPort: may not be specified when \`port\` is not specified`);
  assert.equal(port({ port: "http", endPort: 90 }), `${at}.endPort: may not be specified when \`port\` is non-numeric`);
  assert.equal(port({ port: 90, endPort: 80 }), `${at}.endPort: must be greater than or equal to \`port\``);
  const peer = (value: JsonObject): string | undefined => faults({ egress: [{ to: [value] }] })[0];
  const to = "spec.egress[0].to[0]";
  const cidr = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
  assert.equal(peer({}), `${to}: must specify a peer`);
  assert.equal(
    peer({ podSelector: {}, ipBlock: { cidr: "10.0.0.0/8" } }),
    `${to}: may not specify both ipBlock and another peer`,
  );
  assert.equal(peer({ ipBlock: { cidr: "10.0.0.0" } }), `${to}.ipBlock.cidr: ${cidr}`);
  assert.equal(peer({ ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0"] } }), `${to}.ipBlock.except[0]: ${cidr}`);
  for (const except of ["11.0.0.0/16", "10.0.0.0/8", "2001:db8::/64"])
    assert.equal(
      peer({ ipBlock: { cidr: "10.0.0.0/8", except: [except] } }),
      `${to}.ipBlock.except[0]: must be a strict subset of \`cidr\``,
    );
});
