import type { ClientRequest } from "node:http";
import { transientError } from "./errors.ts";

const maxInterimResponses = 100;

/**
 * Ends a request with an error if its server sends interim responses (1xx) without an end. No other bound of a request
 * counts them, and nobody's reading slows down their sender.
 */
export function limitInterimResponses(request: ClientRequest): ClientRequest {
  let count = 0;
  return request.on("information", () => {
    count += 1;
    if (count > maxInterimResponses)
      request.destroy(
        transientError("answer-too-long", `the server sent more than ${maxInterimResponses} interim responses`),
      );
  });
}
