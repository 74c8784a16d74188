// The configuration of the proxies under a saturating load. They answer by themselves, so that no upstream needs
// processor time.
import type { JsonValue } from "@bufbuild/protobuf";
import { httpListener } from "../../src/proxy/testing/ads-server.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";

export const listenerNames = ["plain", "rules"] as const;
export type ListenerName = (typeof listenerNames)[number];

/**
 * The numbers of routes and of policies of the listener `rules`. Each request passes all of them, and matches the last
 * route.
 */
export const [routes, policies] = [100, 20];

const type = "type.googleapis.com";
const answer: JsonValue = { status: 200, body: { inlineString: "x".repeat(64) } };
const accessLog: JsonValue = [
  {
    name: "envoy.access_loggers.file",
    typedConfig: {
      "@type": `${type}/envoy.extensions.access_loggers.file.v3.FileAccessLog`,
      path: "/dev/null",
      logFormat: {
        textFormatSource: {
          inlineString:
            '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT% %DURATION% "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" %ROUTE_NAME%\n',
        },
      },
    },
  },
];
const router: JsonValue = {
  name: "envoy.filters.http.router",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
};

/** Returns policies such as those that an AuthorizationPolicy with `DENY` becomes. None applies to the request. */
function deny(): JsonValue {
  const policy = (index: number): JsonValue => ({
    permissions: [
      {
        andRules: {
          rules: [
            { urlPath: { path: { prefix: "/api/" } } },
            { header: { name: "x-role", stringMatch: { exact: `role-${index}` } } },
          ],
        },
      },
    ],
    principals: [{ notId: { directRemoteIp: { addressPrefix: `10.${index}.0.0`, prefixLen: 16 } } }],
  });
  return {
    name: "envoy.filters.http.rbac",
    typedConfig: {
      "@type": `${type}/envoy.extensions.filters.http.rbac.v3.RBAC`,
      rules: {
        action: "DENY",
        policies: Object.fromEntries(
          Array.from({ length: policies }, (_, index) => [`policy-${index}`, policy(index)]),
        ),
      },
    },
  };
}

function routeConfig(name: string, more: readonly JsonValue[]): JsonValue {
  return {
    name,
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [...more, { name: "last", match: { prefix: "/" }, directResponse: answer }],
      },
    ],
  };
}

export function resourcesFor(
  ports: Readonly<Record<ListenerName, number>>,
): readonly (readonly [typeUrl: string, Readonly<Record<string, JsonValue>>])[] {
  const others = Array.from({ length: routes }, (_, index) => ({
    name: `r${index}`,
    match: { prefix: "/api/", headers: [{ name: "x-role", stringMatch: { exact: `tester-${index}` } }] },
    directResponse: { status: 404 },
  }));
  return [
    [typeUrls.cluster, {}],
    [
      typeUrls.listener,
      {
        plain: httpListener(ports.plain, "plain", { accessLog, httpFilters: [router] }),
        rules: httpListener(ports.rules, "rules", { accessLog, httpFilters: [deny(), router] }),
      },
    ],
    [typeUrls.route, { plain: routeConfig("plain", []), rules: routeConfig("rules", others) }],
  ];
}
