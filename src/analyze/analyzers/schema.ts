import type { FieldIssue } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import { rolloutKinds } from "../../api/serin/index.ts";
import type { Analyzer } from "../analyzer.ts";
import { messageTypes, type MessageType } from "../message-types.ts";

/**
 * Reports the parsers' issues, which the webhook also reports when an object is applied. Also reports fields of a wrong
 * type in Kubernetes' own kinds, which the API server refuses.
 */
export const schemaAnalyzer: Analyzer = {
  name: "schema.ValidationAnalyzer",
  description: "fields of Istio's kinds, of the Gateway API and of rollouts have valid values",
  analyze(inventory, report) {
    for (const resource of inventory.resources)
      for (const issue of resource.faults ?? [])
        report(messageTypes.schemaValidationError, resource, issue.path, sentence(issue));
    for (const kind of [...istioKinds, ...gatewayApiKinds, ...rolloutKinds]) {
      for (const { resource, errors, warnings } of inventory.issuesOf(kind)) {
        for (const issue of errors) report(messageTypes.schemaValidationError, resource, issue.path, sentence(issue));
        for (const issue of warnings) {
          const type = typeOfWarning(issue);
          if (type !== undefined) report(type, resource, issue.path, sentence(issue));
        }
      }
    }
  },
};

function sentence({ path, message }: FieldIssue): string {
  return path === "" ? message : `${path} ${message}`;
}

/** The message type for a parser's warning. Undefined if another analyzer reports the same in more detail. */
function typeOfWarning({ path, code }: FieldIssue): MessageType | undefined {
  switch (code) {
    case "never-used":
      return path.includes(".match[")
        ? messageTypes.virtualServiceIneffectiveMatch
        : messageTypes.virtualServiceUnreachableRule;
    case "relative-weights":
      return undefined;
    case "deprecated":
    case "deprecated-no-effect":
      return messageTypes.deprecated;
    case "no-effect":
      return messageTypes.fieldWithoutEffect;
    default:
      return messageTypes.schemaWarning;
  }
}
