// The import rules of ARCHITECTURE.md ("Who may import whom"). A change of a rule needs an ADR.
const parts = {
  base: [],
  bundle: [],
  api: ["base"],
  wire: ["base"],
  net: ["base", "wire"],
  telemetry: ["base"],
  x509: ["base"],
  kube: ["base", "api", "wire", "telemetry"],
  install: ["base", "api"],
  inject: ["base", "api"],
  analyze: ["base", "api"],
  convert: ["base", "api"],
  dataplane: ["base", "api", "wire", "net", "telemetry", "x509"],
  ztunnel: ["base", "api", "wire", "net", "telemetry", "dataplane"],
  proxy: ["base", "api", "wire", "net", "telemetry", "dataplane"],
  cluster: ["base", "api", "wire", "net", "telemetry", "x509", "kube"],
  controlplane: ["base", "api", "wire", "net", "telemetry", "x509", "kube", "install", "inject", "analyze"],
  cni: ["base", "api", "wire", "net", "telemetry", "kube"],
  operator: ["base", "api", "wire", "telemetry", "kube", "install"],
  rollout: ["base", "api", "wire", "telemetry", "x509", "kube", "install", "preflight", "promql", "metrics-store"],
  preflight: ["base", "api", "wire", "telemetry", "kube", "install", "analyze"],
  "proxy-dump": ["base"],
  cli: [
    "base",
    "api",
    "wire",
    "telemetry",
    "kube",
    "install",
    "inject",
    "analyze",
    "convert",
    "preflight",
    "proxy-dump",
  ],
  dashboard: [
    "base",
    "api",
    "wire",
    "telemetry",
    "kube",
    "analyze",
    "preflight",
    "promql",
    "metrics-store",
    "proxy-dump",
  ],
  promql: ["base"],
  "metrics-store": ["base", "api", "telemetry", "kube", "promql"],
  addons: ["base", "api", "telemetry", "kube", "promql"],
};

const forbidden = Object.entries(parts).map(([part, allowed]) => ({
  name: `${part}-imports`,
  comment: `src/${part} may import only ${[part, ...allowed].join(", ")}`,
  severity: "error",
  from: { path: `^src/${part}/` },
  to: { path: "^src/", pathNot: `^src/(${[part, ...allowed].join("|")})/` },
}));

/** The folders of src/proxy, lowest floor first. A folder may not import a folder of a higher floor. */
const proxyFloors = [
  ["http2"],
  ["terms"],
  ["peers", "tls"],
  ["routing", "upstream"],
  ["record"],
  ["tracing"],
  ["filters"],
  ["http", "wasm"],
  ["connection", "tcp"],
  ["listener"],
  ["observe"],
  ["config"],
  ["admin"],
  ["workers"],
];
const floorRules = proxyFloors.slice(0, -1).map((floor, index) => ({
  name: `proxy-floor-${floor.join("-")}`,
  comment: `src/proxy/${floor.join(" and ")} may not import a higher floor`,
  severity: "error",
  from: { path: `^src/proxy/(${floor.join("|")})/`, pathNot: "\\.test\\.ts$|/testing/" },
  to: {
    path: `^src/proxy/(${proxyFloors
      .slice(index + 1)
      .flat()
      .join("|")})/`,
  },
}));

module.exports = {
  forbidden: [
    ...forbidden,
    ...floorRules,
    {
      name: "through-the-door",
      comment: "import another part only through its index.ts, or through the index.ts of one of its folders",
      severity: "error",
      from: { path: "^src/([^/]+)/" },
      to: { path: "^src/([^/]+)/", pathNot: ["^src/$1/", "/index\\.ts$"] },
    },
    {
      name: "cluster-is-a-kubernetes",
      comment: "the lab cluster may import only the Kubernetes kinds of src/api",
      severity: "error",
      from: { path: "^src/cluster/" },
      to: { path: "^src/api/", pathNot: "^src/api/(kubernetes/|index\\.ts)" },
    },
    {
      name: "pure-middle",
      comment:
        "api, wire, promql, install, inject, analyze, convert, go-template, model, translate, decide and the dashboard's views are pure: they may not import node:*",
      severity: "error",
      from: {
        path: "^src/(api|wire|promql|install|inject|analyze|convert|base/go-template|controlplane/model|controlplane/translate|rollout/decide|dashboard/views)/",
        pathNot: "\\.test\\.ts$",
      },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "views-stand-on-the-pipeline",
      comment: "views select from what ingest, model, translate and serve produce, so none of these may import views",
      severity: "error",
      from: { path: "^src/controlplane/(ingest|model|translate|serve)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^src/controlplane/views/" },
    },
    {
      name: "views-through-the-door",
      comment: "the rest of the control plane imports its views only through their index.ts",
      severity: "error",
      from: { path: "^src/controlplane/", pathNot: "^src/controlplane/views/" },
      to: { path: "^src/controlplane/views/", pathNot: "/index\\.ts$" },
    },
    {
      name: "page-knows-the-contract",
      comment: "the dashboard's page may import only its own files and the contract in api/dashboard",
      severity: "error",
      from: { path: "^src/dashboard/web/" },
      to: { path: "^src/", pathNot: "^src/(dashboard/web/|api/dashboard/index\\.ts)" },
    },
    { name: "no-cycles", severity: "error", from: { path: "^src" }, to: { circular: true } },
    {
      name: "not-to-tests",
      severity: "error",
      from: { path: "^src", pathNot: "\\.test\\.ts$" },
      to: { path: "(\\.test\\.ts$|^test/|^scripts/|^bench/)" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules|^generated" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
