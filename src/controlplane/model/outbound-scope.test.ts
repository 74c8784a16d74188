import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { config, namespace, service } from "../testing/model-fixture.ts";
import { createOutboundFixture } from "../testing/outbound-fixture.ts";

const http = { name: "http", port: 80, targetPort: 8080 };

test("~ without a namespace excludes the host of every namespace from an egress listener", () => {
  const { apply, serve } = createOutboundFixture();
  const sees = (name: string, hosts: readonly string[]) =>
    config("Sidecar", `shop/${name}`, { workloadSelector: { labels: { sees: name } }, egress: [{ hosts }] });
  apply(
    namespace("shop"),
    namespace("other"),
    service("shop/web", "10.96.0.5", { app: "web" }, [http]),
    service("other/api", "10.96.0.7", { app: "api" }, [http]),
    sees("one", ["*/*", "~/api.other.svc.cluster.local"]),
    sees("part", ["*/*", "~/*.other.svc.cluster.local"]),
    sees("none", ["*/*", "~/*"]),
    sees("only", ["~/*"]),
  );
  const clusters = (name: string): readonly string[] =>
    Object.keys(serve({ labels: { sees: name } }).clusters()).filter((cluster) => cluster.startsWith("outbound|"));
  const web = "outbound|80||web.shop.svc.cluster.local";
  assert.deepEqual(["one", "part", "none", "only"].map(clusters), [[web], [web], [], []]);
});

test("an exclusion drops the VirtualServices whose whole host it covers, and keeps those of wider hosts", () => {
  const { apply, serve } = createOutboundFixture();
  const entry = (name: string) =>
    config("ServiceEntry", `shop/${name}`, {
      hosts: [`${name}.example.com`],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    });
  const moved = (name: string, host: string) =>
    config("VirtualService", `shop/${name}`, {
      hosts: [host],
      http: [{ redirect: { authority: `${name}.example.org` } }],
    });
  apply(
    namespace("shop"),
    ...["a", "b", "c"].map(entry),
    moved("wide", "*.example.com"),
    moved("narrow", "c.example.com"),
    config("Sidecar", "shop/default", { egress: [{ hosts: ["*/*", "~shop/a.example.com", "~shop/c.example.com"] }] }),
  );
  const hosts = (serve().routes()["80"]?.["virtualHosts"] ?? []) as readonly JsonObject[];
  const redirects = hosts.flatMap(({ name, routes }) =>
    typeof name === "string" && name.includes("example")
      ? [[name, JSON.stringify(routes).match(/\w+\.example\.org/)?.[0]]]
      : [],
  );
  assert.deepEqual(redirects, [["b.example.com:80", "wide.example.org"]]);
});
