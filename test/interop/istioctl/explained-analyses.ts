export interface ExplainedAnalysis {
  readonly covers: RegExp;
  readonly why: string;
}

/** Where the analysis differs on purpose from what the tests of Istio's analyzers expect. */
export const explainedAnalyses: readonly ExplainedAnalysis[] = [
  {
    covers: /^alpha: not IST0136 /,
    why: "istioctl leaves these messages out of analyses; docs/cli.md has the reason why x precheck lacks them",
  },
  {
    covers: /: also IST0101 VirtualService /,
    why: "the input lacks the Service or DestinationRule of a route; Istio's test runs another analyzer alone",
  },
  {
    covers:
      /not found in the gateway(\(beta version\))?: not IST0132 VirtualService default\/testing-service-03-test-04$/,
    why: "its Gateway is invalid (two servers of one name), so it has no hosts",
  },
  {
    covers: /WithExportTo: not IST0109 VirtualService (foo|bar)\/productpage-d$/,
    why: "the longer one of two wildcards has precedence, so both have an effect",
  },
  {
    covers: /^unknown service registry in mesh networks: not IST0126 /,
    why: "without a control plane in the input, its clusters are unknown",
  },
  {
    covers: /^Telemetry Lightstep: not IST0002 /,
    why: "Serin reports the provider in the mesh config",
  },
  {
    covers: /^DestinationRuleSubsetsNotSelectPods: not IST0173 /,
    why: "the host has no pod at all, which is not the rule's fault",
  },
  {
    covers: /^DestinationRuleEmptyTopologyLabels: not IST0173 /,
    why: "labels that endpoints get from their nodes are not judged",
  },
];
