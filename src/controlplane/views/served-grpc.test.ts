import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { createExtensionFixture, showResource } from "../testing/extension-fixture.ts";
import { valueAt } from "../testing/decode-resource.ts";
import { meshKey } from "../model/index.ts";
import { config, namespace, pod, service, slice, testMesh } from "../testing/model-fixture.ts";

const serverName = "xds.istio.io/grpc/lds/inbound/[::]:7070";
const rules = (...list: readonly object[]): object => ({ selector: { matchLabels: { app: "echo" } }, rules: list });
const strict = config("PeerAuthentication", "shop/default", { mtls: { mode: "STRICT" } });

/** A pod whose gRPC server and clients speak xDS, with the agent that the injector adds. */
function grpcPod(): KubernetesObject {
  const made = pod("shop/echo-1", "10.244.1.5", { labels: { app: "echo" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  made.spec.containers.push({
    name: "istio-proxy",
    args: ["proxy", "sidecar"],
    env: [{ name: "ISTIO_META_GENERATOR", value: "grpc" }],
  });
  return made;
}

function meshOf(...objects: readonly KubernetesObject[]) {
  const fixture = createExtensionFixture();
  fixture.apply(
    namespace("shop"),
    grpcPod(),
    service("shop/echo", "10.96.0.5", { app: "echo" }, [{ name: "grpc", port: 80, targetPort: 7070 }]),
    slice("shop/echo", { name: "grpc", port: 7070 }, [{ address: "10.244.1.5" }]),
    ...objects,
  );
  const connect = (labels: Readonly<Record<string, string>> = {}, metadata: Readonly<Record<string, string>> = {}) =>
    fixture.connect({
      pod: "shop/echo-1",
      labels: { app: "echo", ...labels },
      metadata: { GENERATOR: "grpc", ...metadata },
    });
  const shown = (typeUrl: string, name: string, labels?: Readonly<Record<string, string>>): JsonObject | undefined => {
    const found = connect(labels).get(typeUrl, name);
    return found === undefined ? undefined : showResource(found);
  };
  return { ...fixture, connect, shown };
}

test("a gRPC server gets a listener for each port of its services, which passes calls to the application", () => {
  const { shown } = meshOf();
  assert.equal(shown(typeUrls.listener, "xds.istio.io/grpc/lds/inbound/0.0.0.0:9999"), undefined);
  const listener = shown(typeUrls.listener, serverName);
  assert.deepEqual(valueAt(listener, "address", "socket_address"), { address: "::", port_value: 7070 });
  assert.equal(valueAt(listener, "listener_filters"), undefined);
  assert.equal(valueAt(listener, "filter_chains", 1), undefined);
  const chain = valueAt(listener, "filter_chains", 0);
  assert.equal(valueAt(chain, "filter_chain_match"), undefined);
  const manager = valueAt(chain, "filters", 0, "typed_config");
  assert.deepEqual(valueAt(manager, "route_config", "virtual_hosts", 0, "routes", 0, "non_forwarding_action"), {});
  assert.deepEqual(filterNames(listener), ["envoy.filters.http.router"]);
});

function filtersOf(listener: JsonObject | undefined): readonly JsonObject[] {
  return valueAt(listener, "filter_chains", 0, "filters", 0, "typed_config", "http_filters") as JsonObject[];
}

function filterNames(listener: JsonObject | undefined): readonly unknown[] {
  return filtersOf(listener).map(({ name }) => name);
}

test("a gRPC server requires mutual TLS if the mesh does, or if its label announces it to clients", () => {
  const instance = (certificateName: string) => ({ instance_name: "default", certificate_name: certificateName });
  const tls = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    common_tls_context: {
      tls_certificate_provider_instance: instance("default"),
      tls_certificate_certificate_provider_instance: instance("default"),
      combined_validation_context: {
        default_validation_context: { ca_certificate_provider_instance: instance("ROOTCA") },
        validation_context_certificate_provider_instance: instance("ROOTCA"),
      },
    },
    require_client_certificate: true,
  };
  const socketOf = (listener: JsonObject | undefined) =>
    valueAt(listener, "filter_chains", 0, "transport_socket", "typed_config");
  const announced = { "security.istio.io/tlsMode": "istio" };
  const disabled = config("PeerAuthentication", "shop/default", { mtls: { mode: "DISABLE" } });
  assert.equal(socketOf(meshOf().shown(typeUrls.listener, serverName)), undefined);
  assert.deepEqual(socketOf(meshOf().shown(typeUrls.listener, serverName, announced)), tls);
  assert.deepEqual(socketOf(meshOf(strict).shown(typeUrls.listener, serverName)), tls);
  assert.equal(socketOf(meshOf(disabled).shown(typeUrls.listener, serverName, announced)), undefined);
});

test("a gRPC server is notified of a policy under the names that it requested", () => {
  const { apply, connect } = meshOf();
  const view = connect().view(typeUrls.listener);
  const changedNames: string[] = [];
  using _listening = view.subscribe((names) => changedNames.push(...names));
  view.get(serverName);
  apply(strict);
  assert.deepEqual(
    changedNames.filter((name) => name.startsWith("xds.")),
    [serverName],
  );
});

test("a gRPC server enforces DENY and ALLOW, and a rule that gRPC cannot evaluate grants no access", () => {
  const policy = (name: string, action: string, ...list: readonly object[]) =>
    config("AuthorizationPolicy", `shop/${name}`, { action, ...rules(...list) });
  const { shown } = meshOf(
    policy("audit", "AUDIT", {}),
    policy(
      "deny",
      "DENY",
      { to: [{ operation: { paths: ["/secret"] } }] },
      { from: [{ source: { requestPrincipals: ["*"] } }], to: [{ operation: { paths: ["/tokens"] } }] },
    ),
    policy(
      "allow",
      "ALLOW",
      { from: [{ source: { principals: ["cluster.local/ns/shop/sa/client"] } }] },
      { from: [{ source: { notRequestPrincipals: ["*"] } }] },
      { to: [{ operation: { paths: ["/a/{*}"] } }] },
      { when: [{ key: "request.headers[grpc-timeout]", values: ["1S"] }] },
    ),
  );
  const listener = shown(typeUrls.listener, serverName);
  assert.deepEqual(filterNames(listener), [
    "envoy.filters.http.rbac.0",
    "envoy.filters.http.rbac.1",
    "envoy.filters.http.router",
  ]);
  const rulesAt = (index: number) =>
    valueAt(filtersOf(listener)[index], "typed_config", "rules") as {
      readonly action?: string;
      readonly policies: Readonly<Record<string, JsonObject>>;
    };
  const [deny, allow] = [rulesAt(0), rulesAt(1)];
  assert.deepEqual([deny.action, allow.action], ["DENY", undefined]);
  assert.deepEqual(Object.keys(allow.policies), ["ns[shop]-policy[allow]-rule[0]"]);
  // The condition on the token is left out, because a gRPC server never reads tokens.
  const tokens = deny.policies["ns[shop]-policy[deny]-rule[1]"];
  assert.deepEqual(tokens?.["principals"], [{ any: true }]);
  assert.match(JSON.stringify(tokens["permissions"]), /tokens/);
});

test("a gRPC server denies what an external authorizer would have to decide", () => {
  const { inputs, apply, shown } = meshOf();
  const settings = { service: "authz.example", port: 9000, timeoutMs: 1000, failOpen: false, clearRouteCache: false };
  inputs.mesh.set(meshKey, {
    ...testMesh,
    extensionProviders: [
      { kind: "authorization-grpc", name: "authorizer", settings: { ...settings, includePeerCertificate: false } },
    ],
  });
  apply(
    config("ServiceEntry", "shop/authz", {
      hosts: ["authz.example"],
      ports: [{ number: 9000, name: "grpc", protocol: "GRPC" }],
      resolution: "DNS",
    }),
    config("AuthorizationPolicy", "shop/ask", {
      action: "CUSTOM",
      provider: { name: "authorizer" },
      ...rules({ to: [{ operation: { paths: ["/admin"] } }] }),
    }),
  );
  const listener = shown(typeUrls.listener, serverName);
  assert.deepEqual(filterNames(listener), ["envoy.filters.http.rbac.0", "envoy.filters.http.router"]);
  const denied = valueAt(filtersOf(listener)[0], "typed_config");
  assert.equal(valueAt(denied, "rules", "action"), "DENY");
  assert.match(JSON.stringify(denied), /\/admin/);
});

test("a gRPC client uses mutual TLS if a DestinationRule requests it, and expects the service's identities", () => {
  const cluster = "outbound|80||echo.shop.svc.cluster.local";
  const rule = (mode: string) =>
    config("DestinationRule", "shop/echo", { host: "echo", trafficPolicy: { tls: { mode } } });
  assert.equal(meshOf().shown(typeUrls.cluster, cluster)?.["transport_socket"], undefined);
  assert.equal(meshOf(rule("SIMPLE")).shown(typeUrls.cluster, cluster)?.["transport_socket"], undefined);
  const socket = valueAt(meshOf(rule("ISTIO_MUTUAL")).shown(typeUrls.cluster, cluster), "transport_socket");
  assert.equal(valueAt(socket, "name"), "envoy.transport_sockets.tls");
  const common = valueAt(socket, "typed_config", "common_tls_context");
  assert.deepEqual(valueAt(common, "tls_certificate_provider_instance"), {
    instance_name: "default",
    certificate_name: "default",
  });
  assert.deepEqual(
    valueAt(common, "combined_validation_context", "default_validation_context", "match_subject_alt_names"),
    [{ exact: "spiffe://cluster.local/ns/shop/sa/default" }],
  );
});

test("faults of a VirtualService reach gRPC clients, and other filters of routes do not", () => {
  const { shown } = meshOf(
    config("VirtualService", "shop/echo", {
      hosts: ["echo"],
      http: [
        {
          fault: { abort: { grpcStatus: "UNAVAILABLE", percentage: { value: 100 } } },
          corsPolicy: { allowOrigins: [{ exact: "https://shop.example" }] },
          route: [{ destination: { host: "echo" } }],
        },
      ],
    }),
  );
  const name = "echo.shop.svc.cluster.local:80";
  const manager = valueAt(shown(typeUrls.listener, name), "api_listener", "api_listener");
  assert.deepEqual(
    (valueAt(manager, "http_filters") as JsonObject[]).map((filter) => filter["name"]),
    ["envoy.filters.http.fault", "envoy.filters.http.router"],
  );
  const routes = shown(typeUrls.route, "outbound|80||echo.shop.svc.cluster.local");
  const configured = valueAt(routes, "virtual_hosts", 0, "routes", 0, "typed_per_filter_config") as JsonObject;
  assert.deepEqual(Object.keys(configured), ["envoy.filters.http.fault"]);
});

test("a gRPC client calls ambient pods by their own addresses, although proxies with its metadata use HBONE", () => {
  const hbone = { ENABLE_HBONE: "true" };
  const { connect } = meshOf(
    pod("shop/captured-1", "10.244.1.6", { labels: { app: "captured" } }),
    service("shop/captured", "10.96.0.6", { app: "captured" }, [{ name: "grpc", port: 80, targetPort: 7070 }]),
    slice("shop/captured", { name: "grpc", port: 7070 }, [{ address: "10.244.1.6", pod: "captured-1" }]),
  );
  const addressFor = (metadata: Readonly<Record<string, string>>): unknown => {
    const found = connect({}, { ...hbone, ...metadata }).get(
      typeUrls.endpoint,
      "outbound|80||captured.shop.svc.cluster.local",
    );
    assert.ok(found);
    const address = valueAt(showResource(found), "endpoints", 0, "lb_endpoints", 0, "endpoint", "address");
    return valueAt(address, "socket_address", "address") ?? "tunnelled";
  };
  assert.deepEqual([addressFor({}), addressFor({ GENERATOR: "" })], ["10.244.1.6", "tunnelled"]);
});
