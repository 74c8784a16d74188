import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromJson, toBinary } from "@bufbuild/protobuf";
import {
  CheckResponseSchema,
  envoyRegistry,
  NetworkExtAuthzSchema,
  NetworkRbacSchema,
} from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileNetworkExtAuthz } from "../config/filters/ext-authz-config.ts";
import { compileNetworkRbac } from "../config/filters/rbac-config.ts";
import { connectionFrom } from "../testing/filter-request.ts";
import type { CallCluster } from "../terms/call-cluster.ts";
import { standaloneServices } from "./filter-services.ts";
import { NetworkExtAuthzFilter } from "./authorization/network-ext-authz-filter.ts";
import { judgeConnection, type NetworkFilter } from "./network-filter.ts";
import { NetworkRbacFilter } from "./authorization/rbac-filter.ts";

function filters(callCluster: CallCluster, failureModeAllow = false): NetworkFilter[] {
  const services = { ...standaloneServices(), callCluster };
  const notes = new ConfigNotes(() => undefined, services);
  const rules = {
    action: "DENY",
    policies: { "istio-ext-authz-a": { permissions: [{ destinationPort: 8080 }], principals: [{ any: true }] } },
  };
  const rbac = fromJson(NetworkRbacSchema, {
    statPrefix: "tcp.",
    shadowRules: rules,
    shadowRulesStatPrefix: "istio_ext_authz_",
  });
  const marked = {
    filter: "envoy.filters.network.rbac",
    path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
    value: { stringMatch: { prefix: "istio-ext-authz-" } },
  };
  const authz = fromJson(
    NetworkExtAuthzSchema,
    {
      statPrefix: "tcp.",
      transportApiVersion: "V3",
      failureModeAllow,
      grpcService: { envoyGrpc: { clusterName: "authz" } },
      filterEnabledMetadata: marked,
    },
    { registry: envoyRegistry() },
  );
  return [
    new NetworkRbacFilter("rbac", compileNetworkRbac(rbac, "test", notes), services, rbac.statPrefix),
    new NetworkExtAuthzFilter(
      "authz",
      compileNetworkExtAuthz(authz, "test", notes),
      services.statistics,
      authz.statPrefix,
    ),
  ];
}

function answering(code: number): CallCluster {
  const message = toBinary(CheckResponseSchema, create(CheckResponseSchema, { status: { code } }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return () =>
    Promise.resolve({ status: 200, headers: [["grpc-status", "0"]], body: Buffer.concat([prefix, message]) });
}

test("a connection that access rules marked waits for the service's decision; others are served at once", async () => {
  const elsewhere = connectionFrom("10.0.0.1", { local: { address: "10.1.0.9", port: 81 } });
  assert.equal(judgeConnection(filters(answering(7)), elsewhere), "allow");
  assert.equal(await judgeConnection(filters(answering(7)), connectionFrom("10.0.0.1")), "deny");
  assert.equal(await judgeConnection(filters(answering(0)), connectionFrom("10.0.0.1")), "allow");
  const fails: CallCluster = () => Promise.reject(new Error("down"));
  assert.equal(await judgeConnection(filters(fails), connectionFrom("10.0.0.1")), "deny");
  assert.equal(await judgeConnection(filters(fails, true), connectionFrom("10.0.0.1")), "allow");
});
