import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("a toleration matches a key, or with Exists every key, and lasts only for NoExecute", () => {
  refuses([
    [
      pod({
        tolerations: [
          { key: "a b", operator: "Exists" },
          { operator: "Equal", value: "x" },
          { key: "a", operator: "X" },
          { key: "a", operator: "Exists", value: "v" },
          { key: "a", value: "b c" },
          { key: "a", effect: "X" },
          { key: "a", tolerationSeconds: 5, effect: "NoSchedule" },
          { key: "a", tolerationSeconds: 5 },
          { key: "n", operator: "Gt", value: "5" },
        ],
      }),
      [
        'spec.tolerations[0].key: Invalid value: "a b": name part',
        'spec.tolerations[1].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
        'spec.tolerations[2].operator: Unsupported value: "X": supported values: "Equal", "Exists"',
        "spec.tolerations[3].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
        'spec.tolerations[4].operator: Invalid value: "b c": a valid label',
        'spec.tolerations[5].effect: Unsupported value: "X": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        "spec.tolerations[6].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        "spec.tolerations[7].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        'spec.tolerations[8].operator: Unsupported value: "Gt": supported values: "Equal", "Exists", "Lt", "Gt"',
      ],
    ],
  ]);
});

test("a required node affinity has terms, whose operators have the values that they need", () => {
  refuses([
    [
      pod({
        affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } },
      }),
      [
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
      ],
    ],
    [
      pod({
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                {
                  matchExpressions: [
                    { key: "a", operator: "In" },
                    { key: "a", operator: "Exists", values: ["x"] },
                    { key: "a", operator: "Gt", values: ["1", "2"] },
                    { key: "a", operator: "Lt", values: ["x"] },
                    { key: "a b", operator: "Exists" },
                    { key: "a", operator: "Foo" },
                    { key: "a", operator: "In", values: ["b c"] },
                  ],
                },
                {
                  matchFields: [
                    { key: "metadata.name", operator: "In", values: ["a", "b"] },
                    { key: "metadata.name", operator: "Exists" },
                    { key: "spec.x", operator: "In", values: ["a"] },
                  ],
                },
              ],
            },
          },
        },
      }),
      [
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be spe",
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].values: Forbidden: may not be speci",
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[2].values: Required value: must be spe",
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[4].key: Invalid value: "a b": name par',
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[5].operator: Invalid value: "Foo": not',
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[6].values[0]: Invalid value: "b c": a ',
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchFields[0].values: Required value: must be only one",
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchFields[1].operator: Invalid value: "Exists": not a',
        'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchFields[2].key: Invalid value: "spec.x": not a vali',
      ],
    ],
  ]);
});

test("a preference has a weight from 1 to 100", () => {
  refuses([
    [
      pod({
        affinity: {
          nodeAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 0, preference: { matchExpressions: [{ key: "a", operator: "In", values: [] }] } },
              { weight: 101, preference: {} },
            ],
          },
        },
      }),
      [
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values: Required value: must be specified",
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[1].weight: Invalid value: 101: must be in the range 1-100",
      ],
    ],
  ]);
});

test("affinity to pods needs a topology key and valid selectors", () => {
  refuses([
    [
      pod({
        affinity: {
          podAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { topologyKey: "" },
              { topologyKey: "a b" },
              { topologyKey: "zone", namespaces: ["A_"] },
              { topologyKey: "zone", labelSelector: { matchExpressions: [{ key: "a", operator: "X" }] } },
              { topologyKey: "zone", namespaceSelector: { matchLabels: { "a b": "c" } } },
              { topologyKey: "zone", labelSelector: {}, matchLabelKeys: ["a b"] },
            ],
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 0, podAffinityTerm: { topologyKey: "" } },
              { weight: 101, podAffinityTerm: { topologyKey: "a" } },
            ],
          },
        },
      }),
      [
        'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: Invalid value: "": name part must be non-emp',
        'spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: Invalid value: "": name part',
        "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: Required value: can not be empty",
        "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
        "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[1].weight: Invalid value: 101: must be in the range 1-100",
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part must be non-empty',
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "": name part',
        "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].topologyKey: Invalid value: "a b": name part',
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[2].namespace: Invalid value: "A_": a lowercase RFC 1123 label',
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[3].labelSelector.matchExpressions[0].operator: Invalid value: "X": not a vali',
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[4].namespaceSelector.matchLabels: Invalid value: "a b": name part',
        'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[5].matchLabelKeys[0]: Invalid value: "a b": name part',
      ],
    ],
    [
      pod({
        affinity: {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { topologyKey: "zone", matchLabelKeys: ["a"], labelSelector: { matchLabels: { a: "b" } } },
              { topologyKey: "zone", matchLabelKeys: ["a"] },
            ],
          },
        },
      }),
      [
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[1].matchLabelKeys: Forbidden: must not be specified when labelSelector is",
      ],
    ],
  ]);
});

test("a spread constraint has a positive skew, a topology key once, and minDomains only if it is required", () => {
  refuses([
    [
      pod({
        topologySpreadConstraints: [
          { maxSkew: 0, topologyKey: "", whenUnsatisfiable: "X" },
          {
            maxSkew: 1,
            topologyKey: "zone",
            whenUnsatisfiable: "DoNotSchedule",
            labelSelector: { matchLabels: { "a b": "" } },
          },
          { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule" },
          { maxSkew: 1, topologyKey: "a", whenUnsatisfiable: "ScheduleAnyway", minDomains: 2 },
          { maxSkew: 1, topologyKey: "b", whenUnsatisfiable: "DoNotSchedule", minDomains: 0 },
          {
            maxSkew: 1,
            topologyKey: "c",
            whenUnsatisfiable: "DoNotSchedule",
            nodeAffinityPolicy: "X",
            nodeTaintsPolicy: "Y",
            matchLabelKeys: ["a b", "c"],
          },
          { maxSkew: 1, topologyKey: "a b", whenUnsatisfiable: "DoNotSchedule" },
        ],
      }),
      [
        "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
        'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "X": supported values: "DoNotSchedule", "ScheduleAnyway"',
        'spec.topologySpreadConstraints[1].labelSelector.matchLabels: Invalid value: "a b": name part',
        'spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"',
        "spec.topologySpreadConstraints[3].minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
        "spec.topologySpreadConstraints[4].minDomains: Invalid value: 0: must be greater than zero",
        "spec.topologySpreadConstraints[5].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
        'spec.topologySpreadConstraints[5].nodeAffinityPolicy: Unsupported value: "X": supported values: "Honor", "Ignore"',
        'spec.topologySpreadConstraints[5].nodeTaintsPolicy: Unsupported value: "Y": supported values: "Honor", "Ignore"',
      ],
    ],
  ]);
});
