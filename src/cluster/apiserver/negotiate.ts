import { ApiError } from "./status.ts";

export interface AnswerForm {
  readonly as: "object" | "table" | "partial";
  readonly encoding: "json" | "yaml";
  /** The version of meta.k8s.io for tables and partial objects: `v1` or `v1beta1`. */
  readonly metaVersion: string;
}

const plain: AnswerForm = { as: "object", encoding: "json", metaVersion: "v1" };

/** The first supported form in the Accept header. Throws 406 if there is none. */
export function answerFormOf(accept: string | undefined): AnswerForm {
  if (accept === undefined || accept === "") return plain;
  for (const part of accept.split(",")) {
    const [media = "", ...parameters] = part.split(";").map((word) => word.trim());
    const encoding = encodingOf(media);
    if (encoding === undefined) continue;
    const as = parameters.find((parameter) => parameter.startsWith("as="))?.slice(3);
    if (as === undefined) return encoding === "json" ? plain : { ...plain, encoding };
    const metaVersion = parameters.find((parameter) => parameter.startsWith("v="))?.slice(2) ?? "v1";
    if (metaVersion !== "v1" && metaVersion !== "v1beta1") continue;
    if (as === "Table") return { as: "table", encoding, metaVersion };
    if (as === "PartialObjectMetadata" || as === "PartialObjectMetadataList")
      return { as: "partial", encoding, metaVersion };
  }
  throw notAcceptable();
}

function encodingOf(media: string): "json" | "yaml" | undefined {
  if (media === "application/json" || media === "*/*" || media === "application/*") return "json";
  if (media === "application/yaml") return "yaml";
  return undefined;
}

function notAcceptable(): ApiError {
  return new ApiError(
    406,
    "NotAcceptable",
    "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml",
    {},
  );
}
