import { acted, under, warned, type FieldTable } from "./field-table.ts";

const apiGroup = "gateway.networking.k8s.io";
const translate = "src/controlplane/translate/";
const routerTest = `${translate}gateway/router-resources.test.ts`;
const gatewayTest = `${translate}gateway/gateway-resources.test.ts`;
const parents = under(["parentRefs[]"], "group", "kind", "name", "namespace", "port", "sectionName");
const backend = ["group", "kind", "name", "namespace", "port", "weight"];
const defaults = warned("Gateways by default", "useDefaultGateways");
const listener = under(["listeners[]"], "name", "hostname", "port", "protocol", "allowedRoutes.**", "tls.**");

export const gatewayApiTables: readonly FieldTable[] = [
  {
    apiGroup,
    kind: "Gateway",
    rows: [
      acted(
        "Class and addresses",
        "gw",
        "src/controlplane/gateways/waypoint-objects.test.ts",
        "gatewayClassName",
        "addresses[].type",
        "addresses[].value",
      ),
      acted("Listeners", "gw", gatewayTest, ...listener),
      acted("Sets of listeners", "g", gatewayTest, "allowedListeners.**"),
      acted("TLS of clients and backends", "g", gatewayTest, "tls.**"),
      acted("Deployment", "gw", "src/controlplane/gateways/waypoint-objects.test.ts", "infrastructure.**"),
      warned("Gateways by default", "defaultScope"),
    ],
  },
  {
    apiGroup,
    kind: "GatewayClass",
    rows: [
      acted("Controllers", "c", gatewayTest, "controllerName", "description"),
      warned("Parameters", "parametersRef.**"),
    ],
  },
  {
    apiGroup,
    kind: "HTTPRoute",
    rows: [
      acted("Parents and hosts", "sgw", routerTest, ...parents, "hostnames[]", "rules[].name"),
      acted("Matches", "sgw", routerTest, "rules[].matches[].**"),
      acted("Filters", "sgw", routerTest, "rules[].filters[].**", "rules[].backendRefs[].filters[].**"),
      acted("Backends", "sgw", routerTest, ...under(["rules[].backendRefs[]"], ...backend)),
      acted("Timeouts and retries", "sgw", routerTest, "rules[].timeouts.**", "rules[].retry.**"),
      warned("Sessions", "rules[].sessionPersistence.**"),
      defaults,
    ],
  },
  {
    apiGroup,
    kind: "GRPCRoute",
    rows: [
      acted("Parents and hosts", "sgw", routerTest, ...parents, "hostnames[]", "rules[].name"),
      acted("Matches", "sgw", routerTest, "rules[].matches[].**"),
      acted("Filters", "sgw", routerTest, "rules[].filters[].**", "rules[].backendRefs[].filters[].**"),
      acted("Backends", "sgw", routerTest, ...under(["rules[].backendRefs[]"], ...backend)),
      warned("Sessions", "rules[].sessionPersistence.**"),
      defaults,
    ],
  },
  {
    apiGroup,
    kind: "TCPRoute",
    rows: [
      acted(
        "Parents and backends",
        "sg",
        gatewayTest,
        ...parents,
        "rules[].name",
        ...under(["rules[].backendRefs[]"], ...backend),
      ),
      defaults,
    ],
  },
  {
    apiGroup,
    kind: "TLSRoute",
    rows: [
      acted(
        "Parents, hosts and backends",
        "sg",
        gatewayTest,
        ...parents,
        "hostnames[]",
        "rules[].name",
        ...under(["rules[].backendRefs[]"], ...backend),
      ),
      defaults,
    ],
  },
  {
    apiGroup,
    kind: "UDPRoute",
    rows: [
      acted(
        "The status says that it is not supported",
        "c",
        "src/api/gateway/routes.test.ts",
        ...parents,
        "rules[].name",
        ...under(["rules[].backendRefs[]"], ...backend),
      ),
      defaults,
    ],
  },
  {
    apiGroup,
    kind: "ListenerSet",
    rows: [
      acted(
        "Listeners of a Gateway",
        "g",
        gatewayTest,
        ...under(["parentRef"], "group", "kind", "name", "namespace"),
        ...listener,
      ),
    ],
  },
  {
    apiGroup,
    kind: "ReferenceGrant",
    rows: [
      acted(
        "Grants",
        "c",
        routerTest,
        ...under(["from[]"], "group", "kind", "namespace"),
        ...under(["to[]"], "group", "kind", "name"),
      ),
    ],
  },
  {
    apiGroup,
    kind: "BackendTLSPolicy",
    rows: [
      acted(
        "TLS to backends",
        "g",
        gatewayTest,
        ...under(["targetRefs[]"], "group", "kind", "name", "sectionName"),
        "validation.**",
      ),
      acted("Options", "g", gatewayTest, "options{}"),
    ],
  },
];
