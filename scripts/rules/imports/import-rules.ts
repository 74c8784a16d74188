// The import rules of ARCHITECTURE.md ("Who may import whom"). A change of a rule needs an ADR.
import { isBuiltin } from "node:module";

export interface ImportRule {
  readonly name: string;
  /** What the rule allows, for the message about an import that it refuses. */
  readonly comment: string;
  /**
   * Whether the rule refuses an import. Both paths are from the root. `to` may also be the name of a package or of one
   * of Node's modules.
   */
  readonly refuses: (from: string, to: string) => boolean;
}

/** The parts that each part may import besides itself. A part without an entry may import every part. */
const parts: Readonly<Record<string, readonly string[]>> = {
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

/** The folders of src/proxy, lowest floor first. A folder may not import a folder of a higher floor. */
const proxyFloors: readonly (readonly string[])[] = [
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

const isTest = (file: string): boolean => file.endsWith(".test.ts");
const below = (folder: string, names: readonly string[]): RegExp => new RegExp(`^${folder}/(?:${names.join("|")})/`);
const partOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1];

const pureParts = [
  "api",
  "wire",
  "promql",
  "install",
  "inject",
  "analyze",
  "convert",
  "base/go-template",
  "controlplane/model",
  "controlplane/translate",
  "rollout/decide",
  "dashboard/views",
];
const pure = below("src", pureParts);
const beforeViews = below("src/controlplane", ["ingest", "model", "translate", "serve"]);
const viewsFolder = "src/controlplane/views/";

const partRules = Object.entries(parts).map(([part, allowed]): ImportRule => {
  const reachable = below("src", [part, ...allowed]);
  return {
    name: `${part}-imports`,
    comment: `src/${part} may import only ${[part, ...allowed].join(", ")}`,
    refuses: (from, to) => from.startsWith(`src/${part}/`) && to.startsWith("src/") && !reachable.test(to),
  };
});

const floorRules = proxyFloors.slice(0, -1).map((floor, index): ImportRule => {
  const own = below("src/proxy", floor);
  const higher = below("src/proxy", proxyFloors.slice(index + 1).flat());
  return {
    name: `proxy-floor-${floor.join("-")}`,
    comment: `src/proxy/${floor.join(" and ")} may not import a higher floor`,
    refuses: (from, to) => own.test(from) && !isTest(from) && !from.includes("/testing/") && higher.test(to),
  };
});

export const importRules: readonly ImportRule[] = [
  ...partRules,
  ...floorRules,
  {
    name: "through-the-door",
    comment: "import another part only through its index.ts, or through the index.ts of one of its folders",
    refuses: (from, to) => {
      const [own, other] = [partOf(from), partOf(to)];
      return own !== undefined && other !== undefined && own !== other && !to.endsWith("/index.ts");
    },
  },
  {
    name: "cluster-is-a-kubernetes",
    comment: "the lab cluster may import only the Kubernetes kinds of src/api",
    refuses: (from, to) =>
      from.startsWith("src/cluster/") && to.startsWith("src/api/") && !/^src\/api\/(?:kubernetes\/|index\.ts)/.test(to),
  },
  {
    name: "pure-middle",
    comment: `${pureParts.join(", ")} are pure: they may not import node:*`,
    refuses: (from, to) => pure.test(from) && !isTest(from) && isBuiltin(to),
  },
  {
    name: "views-stand-on-the-pipeline",
    comment: "views select from what ingest, model, translate and serve produce, so none of these may import views",
    refuses: (from, to) => beforeViews.test(from) && !isTest(from) && to.startsWith(viewsFolder),
  },
  {
    name: "views-through-the-door",
    comment: "the rest of the control plane imports its views only through their index.ts",
    refuses: (from, to) =>
      from.startsWith("src/controlplane/") &&
      !from.startsWith(viewsFolder) &&
      to.startsWith(viewsFolder) &&
      !to.endsWith("/index.ts"),
  },
  {
    name: "page-knows-the-contract",
    comment: "the dashboard's page may import only its own files and the contract in api/dashboard",
    refuses: (from, to) =>
      from.startsWith("src/dashboard/web/") &&
      to.startsWith("src/") &&
      !/^src\/(?:dashboard\/web\/|api\/dashboard\/index\.ts)/.test(to),
  },
  {
    name: "not-to-tests",
    comment: "only tests may import tests, test/, scripts/ and bench/",
    refuses: (from, to) => from.startsWith("src/") && !isTest(from) && /\.test\.ts$|^(?:test|scripts|bench)\//.test(to),
  },
];
