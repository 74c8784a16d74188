import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHostsFile } from "./hosts-file.ts";

test("a hosts file is read as addresses by name, without its comments and regardless of case", () => {
  const hosts = parseHostsFile(
    "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost # loopback\n\n192.0.2.1 Shop.test shop\n192.0.2.1 shop\n192.0.2.2\n",
  );
  assert.deepEqual(Object.fromEntries(hosts), {
    localhost: ["127.0.0.1", "::1"],
    "ip6-localhost": ["::1"],
    "shop.test": ["192.0.2.1"],
    shop: ["192.0.2.1"],
  });
});
