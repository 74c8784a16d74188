import { parse } from "yaml";
import { parseMeshConfig, parseMeshNetworks } from "../../../src/api/istio/index.ts";
import { parseProxyConfig } from "../../../src/api/proxy-config-text/index.ts";
import { SerinError } from "../../../src/base/index.ts";
import { yamlNestingFault } from "../../../src/base/yaml-bounds/index.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

export const target: FuzzTarget = {
  title: "mesh config, mesh networks, and a pod's proxy config",
  seeds: [
    "trustDomain: a\nenableTracing: true\ndefaultConfig: {concurrency: 2, tracing: {zipkin: {address: a:1}}, proxyMetadata: {A: b}}\n",
    "extensionProviders:\n- name: a\n  envoyExtAuthzHttp: {service: s.ns.svc, port: 80, includeRequestHeadersInCheck: [x]}\n- name: b\n  opentelemetry: {service: o, port: 4317}\n",
    "defaultProviders: {accessLogging: [a]}\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\ndiscoverySelectors:\n- matchLabels: {a: b}\n- matchExpressions: [{key: k, operator: In, values: [v]}]\n",
    "networks:\n  n1: {endpoints: [{fromRegistry: r}, {fromCidr: 10.0.0.0/8}], gateways: [{address: 1.1.1.1, port: 443}]}\n",
    "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.a']}]\npathNormalization: {normalization: MERGE_SLASHES}\nmeshMTLS: {minProtocolVersion: TLSV1_3}\n",
    "holdApplicationUntilProxyStarts: true\nproxyHeaders: {server: {value: x}}\nimage: {imageType: debug}\nterminationDrainDuration: 5s\n",
  ],
  words: [
    "localityLbSetting",
    "defaultServiceExportTo",
    "caCertificates",
    "rootNamespace",
    "accessLogFile: /dev/stdout",
    "{}",
    "[]",
    "null",
    "- ",
    ": ",
  ],
  run: (input) => {
    const text = input.toString("utf8");
    try {
      parseProxyConfig(text);
    } catch (error) {
      expectRefusal(error, SerinError);
    }
    // Refuse a deeply nested text first, as the control plane does with its file.
    if (yamlNestingFault(text) !== undefined) return;
    let raw: unknown;
    try {
      raw = parse(text, { logLevel: "error" });
    } catch {
      return;
    }
    for (const read of [parseMeshConfig, parseMeshNetworks]) {
      const { value, errors } = read(raw);
      expect((value === undefined) === errors.length > 0, "what has no value has an error");
    }
  },
};
