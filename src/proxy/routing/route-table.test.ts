import assert from "node:assert/strict";
import { test } from "node:test";
import { RouteTable, type VirtualHost } from "./route-table.ts";

function host(name: string, ...domains: readonly string[]): VirtualHost {
  return { name, domains, routes: [], requireTls: "none" };
}

test("of several hosts with the same domain, the first one serves it, whatever form the domain has", () => {
  const domains = ["a.test", "*.b.test", "c.*", "*"];
  const table = new RouteTable({ name: "t", virtualHosts: [host("first", ...domains), host("second", ...domains)] });
  for (const authority of ["a.test", "x.b.test", "c.test", "other"])
    assert.equal(table.virtualHost(authority)?.name, "first", authority);
});
