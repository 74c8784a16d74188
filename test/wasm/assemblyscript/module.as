export * from "@solo-io/proxy-runtime/proxy";
import {
  Context,
  FilterDataStatusValues,
  FilterHeadersStatusValues,
  RootContext,
  log,
  LogLevelValues,
  registerRootContext,
  send_local_response,
  GrpcStatusValues,
  stream_context,
} from "@solo-io/proxy-runtime";

class AddHeaderRoot extends RootContext {
  createContext(context_id: u32): Context {
    return new AddHeader(context_id, this);
  }
}

class AddHeader extends Context {
  constructor(context_id: u32, root_context: AddHeaderRoot) {
    super(context_id, root_context);
  }
  onRequestHeaders(a: u32, end: bool): FilterHeadersStatusValues {
    const asked = stream_context.headers.request.get("x-do");
    if (asked == "deny") {
      send_local_response(403, "denied", String.UTF8.encode("denied by as"), [], GrpcStatusValues.PermissionDenied);
      return FilterHeadersStatusValues.StopIteration;
    }
    stream_context.headers.request.add("x-as", "request");
    return FilterHeadersStatusValues.Continue;
  }
  onResponseHeaders(a: u32, end: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("x-as", (this.root_context as AddHeaderRoot).getConfiguration());
    log(LogLevelValues.info, "the answer has a header more");
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((context_id: u32) => {
  return new AddHeaderRoot(context_id);
}, "add_header");
