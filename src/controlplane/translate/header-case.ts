import type { MessageInitShape } from "@bufbuild/protobuf";
import { type HttpConnectionManagerSchema, PreserveCaseFormatterConfigSchema } from "../../wire/envoy/index.ts";
import { packed } from "./envoy-any.ts";

type Http1OptionsInit = NonNullable<
  Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, { $typeName: string }>["httpProtocolOptions"]
>;

const inTheirCase: Http1OptionsInit = {
  headerKeyFormat: {
    headerFormat: {
      case: "statefulFormatter",
      value: { name: "preserve_case", typedConfig: packed(PreserveCaseFormatterConfigSchema, {}) },
    },
  },
};

/**
 * HTTP/1 options. With `preserveHttp1HeaderCase`, Envoy keeps the case of header names. Otherwise it writes them in
 * lower case.
 */
export function http1Options(preserveHttp1HeaderCase: boolean): Http1OptionsInit {
  return preserveHttp1HeaderCase ? inTheirCase : {};
}
