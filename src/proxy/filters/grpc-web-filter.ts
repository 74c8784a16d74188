import type { FilterRequest, HttpFilter } from "./http-filter.ts";

/** The content types of gRPC-Web. The value says whether bodies are text (base64). */
const webTypes: ReadonlyMap<string, boolean> = new Map([
  ["application/grpc-web", false],
  ["application/grpc-web+proto", false],
  ["application/grpc-web-text", true],
  ["application/grpc-web-text+proto", true],
]);

/**
 * Marks gRPC-Web requests as gRPC for the upstream. The exchange converts their bodies, and the response with its
 * trailers.
 */
export class GrpcWebFilter implements HttpFilter {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  onRequest(request: FilterRequest): undefined {
    const asText = webTypes.get(request.header("content-type") ?? "");
    if (asText === undefined) return undefined;
    request.setHeader("content-type", "application/grpc");
    request.setHeader("te", "trailers");
    request.setHeader("grpc-accept-encoding", "identity,deflate,gzip");
    // Drop the announced length: it is the length of the base64 text, which the exchange decodes.
    if (asText && request.hasBody) request.openLength();
    request.translateGrpcWeb({
      requestIsText: asText,
      answerIsText: webTypes.get(request.header("accept") ?? "") ?? asText,
    });
    return undefined;
  }
}
