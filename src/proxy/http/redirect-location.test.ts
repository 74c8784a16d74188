import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestView } from "../routing/request-view.ts";
import type { RedirectAction } from "../routing/route.ts";
import { redirectLocation } from "./redirect-location.ts";

const request = (authority: string, scheme = "http"): RequestView =>
  ({ authority, scheme, path: "/a", query: "" }) as unknown as RequestView;
const action = (fields: Partial<RedirectAction>): RedirectAction => fields as RedirectAction;

test("a redirect keeps the request's port, unless it names one or the port is the old scheme's default", () => {
  const cases: readonly (readonly [authority: string, fields: Partial<RedirectAction>, expected: string])[] = [
    ["shop.test", { pathRedirect: "/b" }, "http://shop.test/b"],
    ["shop.test:80", { pathRedirect: "/b" }, "http://shop.test:80/b"],
    ["shop.test:8080", { pathRedirect: "/b" }, "http://shop.test:8080/b"],
    ["shop.test:80", { httpsRedirect: true }, "https://shop.test/a"],
    ["shop.test:8080", { httpsRedirect: true }, "https://shop.test:8080/a"],
    ["shop.test:80", { httpsRedirect: true, port: 8443 }, "https://shop.test:8443/a"],
    ["shop.test:8080", { httpsRedirect: true, port: 443 }, "https://shop.test/a"],
    ["shop.test:80", { host: "other.test" }, "http://other.test/a"],
    ["[::1]:80", { httpsRedirect: true }, "https://[::1]/a"],
  ];
  for (const [authority, fields, expected] of cases)
    assert.equal(
      redirectLocation(action(fields), request(authority)),
      expected,
      `${authority} ${JSON.stringify(fields)}`,
    );
});
