import { tellsOfNoEffect, type FieldIssue } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import type { Analyzer } from "../analyzer.ts";
import { messageTypes, type MessageType } from "../message-types.ts";

/** What the parsers say, which the webhook says too when an object is applied. */
export const schemaAnalyzer: Analyzer = {
  name: "schema.ValidationAnalyzer",
  description: "fields of Istio's kinds and of the Gateway API have values that are taken",
  analyze(inventory, report) {
    for (const kind of [...istioKinds, ...gatewayApiKinds]) {
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

/** Some warnings have codes of their own; undefined for what another analyzer says with more to go by. */
function typeOfWarning({ path, message }: FieldIssue): MessageType | undefined {
  if (message.startsWith("is never used"))
    return path.includes(".match[")
      ? messageTypes.virtualServiceIneffectiveMatch
      : messageTypes.virtualServiceUnreachableRule;
  if (message.startsWith("has weights that sum up to")) return undefined;
  if (message.startsWith("is deprecated")) return messageTypes.deprecated;
  return tellsOfNoEffect({ path, message }) && !message.includes("does nothing where")
    ? messageTypes.fieldWithoutEffect
    : messageTypes.schemaWarning;
}
