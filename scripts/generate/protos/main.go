// Writes a google.protobuf.compiler.CodeGeneratorRequest to stdout. The files to generate come as arguments, each
// `path:Message,Message_Nested` (a file linked into this program, with the messages to keep by their names in TypeScript)
// or `path=source` (a .proto of ours, kept whole). Fields of messages that are not kept are left out: a reader keeps them
// as unknown fields, and the generated code stays small, in the package and in memory.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	"github.com/bufbuild/protocompile"
	_ "github.com/cncf/xds/go/udpa/type/v1"
	_ "github.com/cncf/xds/go/xds/type/matcher/v3"
	_ "github.com/cncf/xds/go/xds/type/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/common/dynamic_forward_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/decompressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/decompressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/decompressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/csrf/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/decompressor/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_forward_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_src/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/rate_limit_descriptors/expr/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/resource_detectors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
	_ "istio.io/api/envoy/config/filter/http/alpn/v2alpha1"
	_ "istio.io/api/envoy/extensions/stats"
	_ "istio.io/api/security/v1alpha1"
)

type generation struct {
	wanted  map[string]bool
	sources map[string]string
	// The messages to keep: first by path, then by the message's name in TypeScript.
	messages map[string]map[string]bool
	done     map[string]bool
	request  *pluginpb.CodeGeneratorRequest
}

func main() {
	log.SetFlags(0)
	g := &generation{wanted: map[string]bool{}, sources: map[string]string{}, messages: map[string]map[string]bool{}, done: map[string]bool{}, request: &pluginpb.CodeGeneratorRequest{}}
	g.request.Parameter = proto.String("target=js+dts,js_import_style=module,import_extension=js")
	for _, argument := range os.Args[1:] {
		path, source, _ := strings.Cut(argument, "=")
		path, names, _ := strings.Cut(path, ":")
		g.wanted[path] = true
		g.messages[path] = map[string]bool{}
		for _, name := range strings.Split(names, ",") {
			g.messages[path][name] = true
		}
		if source != "" {
			g.sources[path] = source
		}
		g.request.FileToGenerate = append(g.request.FileToGenerate, path)
	}
	for _, path := range g.request.FileToGenerate {
		g.add(g.find(path))
	}
	bytes, err := proto.Marshal(g.request)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(bytes); err != nil {
		log.Fatal(err)
	}
}

// find returns a linked file, or compiles one of ours.
func (g *generation) find(path string) protoreflect.FileDescriptor {
	if _, ours := g.sources[path]; !ours {
		file, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		return file
	}
	resolver := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		if source, ours := g.sources[path]; ours {
			reader, err := os.Open(source)
			return protocompile.SearchResult{Source: reader}, err
		}
		file, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		return protocompile.SearchResult{Desc: file}, nil
	})
	compiler := protocompile.Compiler{Resolver: resolver}
	files, err := compiler.Compile(context.Background(), path)
	if err != nil {
		log.Fatal(err)
	}
	return files[0]
}

// kept says whether a file is generated, or is one of the well-known ones that the runtime carries.
func (g *generation) kept(path string) bool {
	return g.wanted[path] || strings.HasPrefix(path, "google/protobuf/") && path != "google/protobuf/descriptor.proto"
}

func (g *generation) add(file protoreflect.FileDescriptor) {
	if g.done[file.Path()] {
		return
	}
	g.done[file.Path()] = true
	copied := protodesc.ToFileDescriptorProto(file)
	copied.Dependency, copied.PublicDependency, copied.WeakDependency = nil, nil, nil
	for index := range file.Imports().Len() {
		imported := file.Imports().Get(index)
		if g.kept(imported.Path()) {
			g.add(imported.FileDescriptor)
			copied.Dependency = append(copied.Dependency, imported.Path())
		}
	}
	copied.SourceCodeInfo = nil
	copied.Options = nil
	copied.Service = nil
	for _, enum := range copied.EnumType {
		plainEnum(enum)
	}
	copied.MessageType = g.plainMessages(file.Messages(), copied.MessageType)
	g.request.ProtoFile = append(g.request.ProtoFile, copied)
}

// plainMessage drops options that only validators and documentation read, and fields of types that are not kept.
func (g *generation) plainMessage(descriptor protoreflect.MessageDescriptor, message *descriptorpb.DescriptorProto) {
	if descriptor.IsMapEntry() {
		message.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	} else {
		message.Options = nil
	}
	fields := message.Field
	message.Field = nil
	usedOneofs := map[int32]bool{}
	for index, field := range fields {
		if !g.typeKept(descriptor.Fields().Get(index)) {
			continue
		}
		field.Options = nil
		if field.OneofIndex != nil {
			usedOneofs[field.GetOneofIndex()] = true
		}
		message.Field = append(message.Field, field)
	}
	dropEmptyOneofs(message, usedOneofs)
	for _, oneof := range message.OneofDecl {
		oneof.Options = nil
	}
	for _, enum := range message.EnumType {
		plainEnum(enum)
	}
	message.NestedType = g.plainMessages(descriptor.Messages(), message.NestedType)
}

func (g *generation) plainMessages(descriptors protoreflect.MessageDescriptors, messages []*descriptorpb.DescriptorProto) []*descriptorpb.DescriptorProto {
	var kept []*descriptorpb.DescriptorProto
	for index, message := range messages {
		descriptor := descriptors.Get(index)
		if g.messageKept(descriptor) {
			g.plainMessage(descriptor, message)
			kept = append(kept, message)
		}
	}
	return kept
}

// messageKept says whether a message was requested, or contains one that was. Map entries are kept if their values are.
func (g *generation) messageKept(message protoreflect.MessageDescriptor) bool {
	path := message.ParentFile().Path()
	if !g.wanted[path] {
		return g.kept(path)
	}
	if message.IsMapEntry() {
		return g.typeKept(message.Fields().ByName("value"))
	}
	if g.sources[path] != "" || g.messages[path][typescriptName(message)] {
		return true
	}
	for index := range message.Messages().Len() {
		if nested := message.Messages().Get(index); !nested.IsMapEntry() && g.messageKept(nested) {
			return true
		}
	}
	return false
}

// typescriptName joins the names of a nested message and of those around it.
func typescriptName(message protoreflect.MessageDescriptor) string {
	if parent, nested := message.Parent().(protoreflect.MessageDescriptor); nested {
		return typescriptName(parent) + "_" + string(message.Name())
	}
	return string(message.Name())
}

func dropEmptyOneofs(message *descriptorpb.DescriptorProto, used map[int32]bool) {
	moved := map[int32]int32{}
	var kept []*descriptorpb.OneofDescriptorProto
	for index, oneof := range message.OneofDecl {
		if used[int32(index)] {
			moved[int32(index)] = int32(len(kept))
			kept = append(kept, oneof)
		}
	}
	message.OneofDecl = kept
	for _, field := range message.Field {
		if field.OneofIndex != nil {
			field.OneofIndex = proto.Int32(moved[field.GetOneofIndex()])
		}
	}
}

func plainEnum(enum *descriptorpb.EnumDescriptorProto) {
	if enum.GetOptions().GetAllowAlias() {
		enum.Options = &descriptorpb.EnumOptions{AllowAlias: proto.Bool(true)}
	} else {
		enum.Options = nil
	}
	for _, value := range enum.Value {
		value.Options = nil
	}
}

func (g *generation) typeKept(field protoreflect.FieldDescriptor) bool {
	if field.IsMap() {
		return g.typeKept(field.MapValue())
	}
	if message := field.Message(); message != nil {
		return g.messageKept(message)
	}
	if enum := field.Enum(); enum != nil {
		if parent, nested := enum.Parent().(protoreflect.MessageDescriptor); nested {
			return g.messageKept(parent)
		}
		return g.kept(enum.ParentFile().Path())
	}
	return true
}
