// Istio's integration suites, how to start each, and the cases that cannot run here.

export interface Suite {
  /**
   * A folder of Istio's tests/integration, with dots for slashes. The suite of a folder that also contains suites ends
   * with `.main`.
   */
  readonly name: string;
  readonly isAmbient?: boolean;
}

export interface Exclusion {
  readonly suite: string;
  /** Full names of tests. Absent for the whole suite. */
  readonly tests?: readonly string[];
  /** The number of excluded cases. If the whole suite is excluded, it is the number of its test functions. */
  readonly cases: number;
  readonly why: string;
}

const isAmbient = true;

/** The suites, with the large ones of each group first. */
export const suites: readonly Suite[] = [
  { name: "pilot.main" },
  { name: "pilot.analysis" },
  { name: "pilot.cni" },
  { name: "pilot.localwatcher" },
  { name: "pilot.mcs.autoexport" },
  { name: "pilot.mcs.discoverability" },
  { name: "pilot.nftables" },
  { name: "pilot.proxyconfig" },
  { name: "pilot.resourcefilter" },
  { name: "pilot.revisions" },
  { name: "security.main" },
  { name: "security.ca_custom_root" },
  { name: "security.cacert_rotation" },
  { name: "security.crl" },
  { name: "security.ecc_signature_algorithm" },
  { name: "security.external_sds_provider" },
  { name: "security.filebased_tls_origination" },
  { name: "security.https_jwt" },
  { name: "security.policy_attachment_only" },
  { name: "security.pqc" },
  { name: "security.remote_jwks" },
  { name: "ambient.main", isAmbient },
  { name: "ambient.cni", isAmbient },
  { name: "ambient.cnirepair", isAmbient },
  { name: "ambient.cniupgrade", isAmbient },
  { name: "ambient.pqc", isAmbient },
  { name: "ambient.untaint", isAmbient },
  { name: "ambient.waypoint", isAmbient },
  { name: "telemetry.api" },
  { name: "telemetry.policy.main" },
  { name: "telemetry.policy.dynamicdns" },
  { name: "helm.main" },
  { name: "helm.upgrade" },
];

export const exclusions: readonly Exclusion[] = [
  {
    suite: "telemetry.api",
    tests: ["TestCustomizeMetrics"],
    cases: 1,
    why: "needs a WebAssembly module of a public registry (attributegen), which the lab does not reach",
  },
  {
    suite: "telemetry.api",
    tests: ["TestDashboard/pilot-dashboard.json", "TestDashboard/istio-performance-dashboard.json"],
    cases: 2,
    why: "asks for metrics of Go's runtime (go_goroutines), which processes of Node do not have",
  },
  {
    suite: "telemetry.api",
    tests: ["TestTrafficExtension_ImagePullPolicyWithHTTP"],
    cases: 2,
    why: "asks upstream's registry of the tests for a path that it does not serve; upstream has never compiled the test",
  },
  {
    suite: "ambient.main",
    tests: ["TestTrafficExtension_WasmConfigurations/OCI_Configure_WASM_filter_for_waypoint"],
    cases: 1,
    why: "configures the Gateway waypoint, which the suite does not create; upstream has never compiled the test",
  },
  {
    suite: "ambient.main",
    tests: ["TestWaypointChanges"],
    cases: 1,
    why: "wants a waypoint to cut its connections 30 s after its end began; Serin lets them end, for up to an hour",
  },
  {
    suite: "ambient.main",
    tests: [
      "TestWaypointAsEgressGateway/http_origination_targetPort_with_BackendTLSPolicy",
      "TestWaypointAsEgressGateway/http_origination_route_with_BackendTLSPolicy",
    ],
    cases: 6,
    why: "takes the certificates of a BackendTLSPolicy from another namespace, which Gateway API does not allow (upstream's code refuses it too)",
  },
  {
    suite: "pilot.main",
    tests: ["TestGateway/managed/backend-tls", "TestGateway/managed/backend-tls-section-name"],
    cases: 2,
    why: "wants a server whose certificate has another name than its BackendTLSPolicy, which Gateway API forbids",
  },
  {
    suite: "pilot.main",
    tests: ["TestXdsVersion"],
    cases: 1,
    why: "wants a version with a dot; in a lab a control plane reports the tag of its image, which these tests choose without one",
  },
  {
    suite: "pilot.resourcefilter",
    tests: ["TestPilotResourceFilter/gatewayonly/backend-tls-should-pass"],
    cases: 1,
    why: "wants a server whose certificate has another name than its BackendTLSPolicy, which Gateway API forbids",
  },
  {
    suite: "pilot.revisions",
    tests: ["TestUninstallByRevision", "TestUninstallWithSetFlag"],
    cases: 2,
    why: "wants shared objects to bear the label of the revision that was installed last; Serin's name no revision",
  },
  {
    suite: "pilot.revisions",
    tests: ["TestUninstallCustomFile"],
    cases: 1,
    why: "uninstalls a revision to which a tag points, which Serin refuses without --force",
  },
  {
    suite: "ambient.cni",
    tests: ["TestTrafficWithEstablishedPodsIfCNIMissing"],
    cases: 1,
    why: "deletes the CNI agents and wants their pods to stay in the mesh; Serin takes this for an uninstallation, and releases the pods first",
  },
  {
    suite: "telemetry.policy.main",
    tests: ["TestRateLimiting"],
    cases: 1,
    why: "needs images of other vendors' programs (Envoy's rate limit service, Redis)",
  },
  {
    suite: "security.ca_custom_root",
    tests: ["TestSecureNaming/From_primary-0/mTLS_cert_validation_with_plugin_CA"],
    cases: 1,
    why: "wants servers to send the root with their chain, which no client needs and Serin leaves out",
  },
  {
    suite: "security.external_ca",
    cases: 1,
    why: "needs an external certificate authority (EXTERNAL_CA), which Serin refuses by name",
  },
  {
    suite: "security.file_mounted_certs",
    cases: 1,
    why: "needs identities from mounted files (FILE_MOUNTED_CERTS), which Serin refuses by name",
  },
  { suite: "security.fuzz", cases: 2, why: "needs images of other vendors' programs (wfuzz, dotdotpwn, jwt_tool)" },
  { suite: "pilot.agentgateway", cases: 1, why: "needs an image of another vendor's program (agentgateway)" },
  { suite: "ambient.agentgateway", cases: 1, why: "needs an image of another vendor's program (agentgateway)" },
  { suite: "pilot.gie", cases: 1, why: "needs the inference extension of Gateway API, which Serin refuses by name" },
  { suite: "security.sds_ingress.quic", cases: 2, why: "needs HTTP/3, which Serin refuses by name" },
  {
    suite: "telemetry.tracing.otelcollector",
    cases: 2,
    why: "needs images of other vendors' programs (OpenTelemetry Collector, Zipkin)",
  },
  { suite: "telemetry.tracing.zipkin", cases: 4, why: "needs an image of another vendor's program (Zipkin)" },
  { suite: "pilot.filebasedkubeconfig", cases: 6, why: "needs two clusters; this runner makes one" },
  { suite: "pilot.multiplecontrolplanes", cases: 3, why: "needs two clusters; this runner makes one" },
  { suite: "ambient.crl", cases: 2, why: "needs two clusters; this runner makes one" },
];

export function excludedTests(suite: Suite): readonly string[] {
  return exclusions.flatMap(({ suite: name, tests = [] }) => (name === suite.name ? tests : []));
}

/** Returns the folder of a suite below Istio's tests/integration. */
export function folderOf({ name }: Suite): string {
  return name.replace(/\.main$/, "").replaceAll(".", "/");
}

/**
 * Returns the suites that the words choose: `pilot` means all of its suites, `pilot.main` one. No word means all
 * suites.
 */
export function chosenSuites(only: string): readonly Suite[] {
  const words = only.split(",").filter((word) => word !== "");
  const isNamed = (word: string, name: string): boolean => name === word || name.startsWith(`${word}.`);
  for (const word of words)
    if (!suites.some(({ name }) => isNamed(word, name)))
      throw new Error(`there is no suite "${word}"; expected one of ${suites.map(({ name }) => name).join(", ")}`);
  return words.length === 0 ? suites : suites.filter(({ name }) => words.some((word) => isNamed(word, name)));
}
