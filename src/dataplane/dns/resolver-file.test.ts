import assert from "node:assert/strict";
import { test } from "node:test";
import { parseResolverFile } from "./resolver-file.ts";

test("a resolver file sets servers, search domains and the number of dots of a complete name", () => {
  const text =
    "# made by the kubelet\nsearch shop.svc.cluster.local svc.cluster.local. Example.com\nnameserver 10.96.0.10\nnameserver fd00::a\noptions timeout:1 ndots:5\n";
  assert.deepEqual(parseResolverFile(text), {
    nameservers: ["10.96.0.10", "fd00::a"],
    search: ["shop.svc.cluster.local", "svc.cluster.local", "example.com"],
    dotsOfFullNames: 5,
  });
  assert.deepEqual(parseResolverFile(""), { nameservers: [], search: [], dotsOfFullNames: 1 });
});
