import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAuthority, parseAuthority } from "./authority.ts";
import { formatBaggage, parseBaggage } from "./baggage.ts";
import { formatForwarded, parseForwardedHost } from "./forwarded.ts";

test("an authority is an address or a hostname, with a port", () => {
  assert.deepEqual(parseAuthority("10.0.0.1:80"), { host: "10.0.0.1", port: 80, isAddress: true });
  assert.deepEqual(parseAuthority("[fd00::1]:8080"), { host: "fd00::1", port: 8080, isAddress: true });
  assert.deepEqual(parseAuthority("A.ns.svc.cluster.local:1"), {
    host: "a.ns.svc.cluster.local",
    port: 1,
    isAddress: false,
  });
  for (const bad of [
    "",
    ":80",
    "a",
    "a:",
    "a:0",
    "a:65536",
    "a:1x",
    "10.0.0.256:1",
    "fd00::1",
    "[x]:1",
    "[:::::]:80",
    "[fd00::1::2]:80",
    "[10.0.0.1]:80",
    "a b:1",
    "/x:1",
  ]) {
    assert.equal(parseAuthority(bad), undefined, bad);
  }
  assert.equal(formatAuthority("fd00::1", 80), "[fd00::1]:80");
});

test("baggage reads back, and forwarded names the service", () => {
  const baggage = {
    cluster: "Kubernetes",
    namespace: "default",
    workloadName: "sleep",
    workloadType: "deployment",
    serviceName: "sleep",
    serviceVersion: "v1",
    region: "r1",
    zone: "z1",
  };
  const text = formatBaggage(baggage);
  assert.equal(
    text,
    "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=sleep,service.name=sleep,service.version=v1,cloud.region=r1,cloud.availability_zone=z1",
  );
  assert.deepEqual(parseBaggage(text), baggage);
  assert.deepEqual(parseBaggage("k8s.cluster.name=,x,=y,unknown=1"), {});
  assert.equal(formatForwarded("10.0.0.1", 99, "a.b.svc"), 'for="10.0.0.1:99";host=a.b.svc');
  assert.equal(parseForwardedHost('for="10.0.0.1:99";host="a.b.svc"'), "a.b.svc");
  assert.equal(parseForwardedHost("for=x"), undefined);
});
