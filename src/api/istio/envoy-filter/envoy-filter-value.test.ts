import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIssues } from "../../parsed.ts";
import { Reader } from "../../reader.ts";
import { checkEnvoyValue, isEnvoyType } from "./envoy-filter-value.ts";

test("a type in a package with the name of what every object inherits is refused like any unknown type", () => {
  assert.equal(isEnvoyType("envoy.extensions.filters.http.lua.v3.Lua"), true);
  for (const name of ["constructor.Lua", "toString.x", "__proto__.x", "hasOwnProperty"]) {
    assert.equal(isEnvoyType(name), false);
    const value = new Reader({ typed_config: { "@type": `type.googleapis.com/${name}` } });
    checkEnvoyValue(value);
    assert.match(formatIssues(value.finish(() => undefined).errors), /typed_config\.@type: /);
  }
});
