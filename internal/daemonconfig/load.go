// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	// ConfigFlag names the file, as a flag or, with the prefix of all variables, in the environment.
	ConfigFlag = "config"

	envPrefix = "UNIBUS_"
	// delim is in no name, so that every key is flat and a nested one is unknown.
	delim = "."
	// maxConfigFile is the size limit of a configuration file in bytes.
	maxConfigFile = 1 << 20
	// maxUnknown is how many unknown keys are told: of another program's file, a few are enough.
	maxUnknown = 8
)

// Origin says where a setting's value comes from.
type Origin string

// Origins, each of which beats those before it.
const (
	FromDefault     Origin = "default"
	FromFile        Origin = "file"
	FromEnvironment Origin = "env"
	FromFlag        Origin = "flag"
)

// FromDev is the origin of what --dev sets where nothing else does.
const FromDev Origin = "dev"

// Loaded is a configuration and what is to be told about it.
type Loaded struct {
	Config
	// Origins holds the origin of each setting, by name.
	Origins map[string]Origin
	// File is the configuration file, empty when there is none.
	File string
	// Warnings are to be logged once there is a log.
	Warnings []string
}

// layer is one source of settings.
type layer struct {
	origin Origin
	where  string // in front of a setting's name in errors
	values *koanf.Koanf
}

// Load reads the settings: a flag beats the environment, which beats the file. fs has been made by AddFlags and has been parsed;
// environ is as os.Environ returns it. Unknown keys and variables are errors that name the nearest known one. What it returns
// has not been judged: see Validate.
func Load(fs *pflag.FlagSet, environ []string) (*Loaded, error) {
	flags, err := flagLayer(fs)
	if err != nil {
		return nil, err
	}
	vars, path, err := envLayer(environ)
	if err != nil {
		return nil, err
	}
	if f := fs.Lookup(ConfigFlag); f != nil && f.Changed {
		path = f.Value.String()
	}
	l := &Loaded{Config: Default(), Origins: map[string]Origin{}, File: path}
	layers := []layer{vars, flags}
	if path != "" {
		file, err := readFile(path)
		if err != nil {
			return nil, err
		}
		layers = slices.Insert(layers, 0, file)
	}
	if err := l.apply(layers); err != nil {
		return nil, err
	}
	l.dev()
	l.warn()
	return l, nil
}

// dev gives a node for trying out other defaults.
func (l *Loaded) dev() {
	if !l.Dev {
		return
	}
	for name, value := range map[string]string{"store-dir": "unibus-dev", "formation": FormationFound, "log-level": "error"} {
		if s, ok := lookup(name); ok && l.Origins[name] == FromDefault {
			*s.field(&l.Config).(*string), l.Origins[name] = value, FromDev
		}
	}
}

// Parse reads the bytes of a configuration file, by itself.
func Parse(b []byte) (Config, error) {
	file, err := fileLayer("configuration", b)
	if err != nil {
		return Config{}, err
	}
	l := &Loaded{Config: Default(), Origins: map[string]Origin{}}
	if err := l.apply([]layer{file}); err != nil {
		return Config{}, err
	}
	return l.Config, nil
}

// apply lays the layers over each other and reads every setting from the result.
func (l *Loaded) apply(layers []layer) error {
	merged, top := koanf.New(delim), map[string]layer{}
	for _, one := range layers {
		if err := merged.Merge(one.values); err != nil {
			return fmt.Errorf("%s: %w", one.origin, err)
		}
		for _, key := range one.values.Keys() {
			top[key] = one
		}
	}
	var wrong []error
	for _, s := range settings {
		from, ok := top[s.Name]
		if !ok {
			l.Origins[s.Name] = FromDefault
			continue
		}
		l.Origins[s.Name] = from.origin
		values, err := s.texts(merged.Get(s.Name))
		if err == nil {
			err = s.set(&l.Config, values)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s%s %w", from.where, from.name(s), err))
		}
	}
	return errors.Join(wrong...)
}

// name is how the layer spells a setting.
func (l layer) name(s Setting) string {
	switch l.origin {
	case FromFlag:
		return "--" + s.Name
	case FromEnvironment:
		return s.Env()
	default:
		return s.Name
	}
}

func flagLayer(fs *pflag.FlagSet) (layer, error) {
	k := koanf.New(delim)
	only := func(f *pflag.Flag) (string, any) {
		v, ours := f.Value.(*flagValue)
		if !ours || !f.Changed {
			return "", nil
		}
		return f.Name, v.given
	}
	if err := k.Load(posflag.ProviderWithFlag(fs, delim, nil, only), nil); err != nil {
		return layer{}, fmt.Errorf("flags: %w", err)
	}
	return layer{origin: FromFlag, values: k}, nil
}

// clientVariables are the command line's: whoever uses a bus from a shell may start a node from it as well.
var clientVariables = []string{"UNIBUS_CONTEXTS", "UNIBUS_CONTEXT", "UNIBUS_SERVER", "UNIBUS_API", "UNIBUS_CA", "UNIBUS_KEY"}

// envLayer also returns the configuration file that the environment names.
func envLayer(environ []string) (l layer, path string, err error) {
	var unknown []error
	take := func(name, value string) (string, any) {
		if name == envPrefix+strings.ToUpper(ConfigFlag) {
			path = value
			return "", nil
		}
		if slices.Contains(clientVariables, name) {
			return "", nil
		}
		i := slices.IndexFunc(settings, func(s Setting) bool { return s.Env() == name })
		if i < 0 {
			unknown = append(unknown, unknownVariable(name))
			return "", nil
		}
		if s := settings[i]; s.kind() == "int" && strings.HasPrefix(value, "tcp://") {
			unknown = append(unknown, fmt.Errorf("environment variable %s is an address, not a number: %s", name, serviceLinks))
			return "", nil
		}
		return settings[i].Name, value
	}
	k := koanf.New(delim)
	opt := env.Opt{Prefix: envPrefix, TransformFunc: take, EnvironFunc: func() []string { return environ }}
	if err := k.Load(env.Provider(delim, opt), nil); err != nil {
		return layer{}, "", fmt.Errorf("environment: %w", err)
	}
	return layer{origin: FromEnvironment, where: "environment variable ", values: k}, path, errors.Join(unknown...)
}

func readFile(path string) (layer, error) {
	f, err := os.Open(path)
	if err != nil {
		return layer{}, fmt.Errorf("configuration file (--%s): %w", ConfigFlag, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return layer{}, fmt.Errorf("configuration file %s: %w", path, err)
	}
	l, err := fileLayer("configuration file "+path, b)
	if err != nil {
		return layer{}, err
	}
	return l, guardSecrets(f, path, l)
}

// guardSecrets refuses a file with a secret that everybody may read.
func guardSecrets(f *os.File, path string, l layer) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	for _, s := range settings {
		if mode := info.Mode().Perm(); s.Secret && l.values.Exists(s.Name) && mode&0o007 != 0 {
			return fmt.Errorf("configuration file %s holds %s and everybody may read it (mode %04o): chmod 600 it, and change the secret if others had access",
				path, s.Name, mode)
		}
	}
	return nil
}

// raw is a koanf provider of bytes.
type raw []byte

// ReadBytes implements koanf.Provider.
func (r raw) ReadBytes() ([]byte, error) { return r, nil }

// Read implements koanf.Provider.
func (r raw) Read() (map[string]any, error) { return nil, errors.New("bytes only") }

func fileLayer(what string, b []byte) (layer, error) {
	if len(b) > maxConfigFile {
		return layer{}, fmt.Errorf("%s is larger than %d bytes: is it the right file?", what, maxConfigFile)
	}
	if err := oneDocument(b); err != nil {
		return layer{}, fmt.Errorf("%s: %w", what, err)
	}
	k := koanf.New(delim)
	if err := k.Load(raw(b), yaml.Parser()); err != nil {
		return layer{}, fmt.Errorf("%s is not YAML of keys and values: %w", what, err)
	}
	var unknown []error
	for _, key := range k.Keys() {
		if _, ok := lookup(key); !ok && len(unknown) < maxUnknown {
			unknown = append(unknown, fmt.Errorf("%s: unknown key %.64q%s", what, key, nearest(key, names())))
		}
	}
	return layer{origin: FromFile, where: what + ": ", values: k}, errors.Join(unknown...)
}

// oneDocument refuses a second YAML document, which the parser would pass over in silence.
func oneDocument(b []byte) error {
	content := false
	for line := range strings.Lines(string(b)) {
		marker := strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...")
		if marker && content {
			return errors.New("more than one YAML document: only the first would be read")
		}
		line = strings.TrimSpace(line)
		content = content || line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "%")
	}
	return nil
}

func (l *Loaded) warn() {
	for _, s := range settings {
		if s.Secret && l.Origins[s.Name] == FromFlag {
			l.Warnings = append(l.Warnings, fmt.Sprintf("--%s stands in the command line, where everybody on this machine can read it: use --%s-file or %s",
				s.Name, s.Name, s.Env()))
		}
	}
	if l.Loopback() && !l.Open && !l.Dev && len(l.OperatorKeys) == 0 {
		l.Warnings = append(l.Warnings, "no --operator-key: nobody can administer this node")
	}
	if l.Open {
		l.Warnings = append(l.Warnings, "--open: everybody on this machine may connect and administer")
	}
}
