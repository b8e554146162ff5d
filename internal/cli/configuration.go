// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

// readConfig reads the configuration of a place, what is wanted of it into a struct.
func (l *launcher) readConfig(i int, into any) (*yaml.Node, error) {
	b, err := os.ReadFile(l.folder.path(configFile(i)))
	if err != nil {
		return nil, fmt.Errorf("read the configuration of node-%d: %w", i, err)
	}
	var all yaml.Node
	if err = yaml.Unmarshal(b, &all); err == nil {
		err = all.Decode(into)
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration %s can't be read: correct it (%w)", l.folder.path(configFile(i)), err)
	}
	return &all, nil
}

func (l *launcher) writeConfig(i int, all *yaml.Node) error {
	b, err := yaml.Marshal(all)
	if err != nil {
		return fmt.Errorf("encode the configuration of node-%d: %w", i, err)
	}
	return l.folder.write(configFile(i), b, 0o600)
}

// configured reads from a place's configuration where its control endpoint and its API are.
func (l *launcher) configured(i int) (control, api string, err error) {
	var c struct {
		Control int `yaml:"control-port"`
		API     int `yaml:"api-port"`
	}
	if _, err := l.readConfig(i, &c); err != nil {
		return "", "", err
	}
	if c.Control == 0 {
		return "", "", fmt.Errorf("the configuration %s has no control-port: correct it", l.folder.path(configFile(i)))
	}
	if c.API != 0 {
		api = fmt.Sprintf("http://127.0.0.1:%d", c.API)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", c.Control), api, nil
}

// planned are the ports that local nodes are configured with. One that waits for its order does not listen on those of NATS yet, and one that is
// stopped on none.
func (l *launcher) planned(inv inventory) (all []int, err error) {
	for i := range max(inv.Size, len(inv.Places)) {
		if !l.folder.exists(configFile(i)) {
			continue
		}
		var c struct {
			NATS    int `yaml:"port"`
			HTTP    int `yaml:"http-port"`
			Control int `yaml:"control-port"`
			Routes  int `yaml:"cluster-port"`
			API     int `yaml:"api-port"`
		}
		if _, err := l.readConfig(i, &c); err != nil {
			return nil, err
		}
		all = append(all, c.NATS, c.HTTP, c.Control, c.Routes, c.API)
	}
	return all, nil
}

// freePorts returns free ports that no local node is configured with.
func (l *launcher) freePorts(n int, inv inventory) ([]int, error) {
	planned, err := l.planned(inv)
	if err != nil {
		return nil, err
	}
	return freePorts(n, planned...)
}

// amend writes into a configuration what was not known when it was made: the bus's first admins, and a port for the API, which would be the
// same on all nodes by default.
func (l *launcher) amend(i int, inv inventory) error {
	var c struct {
		API    *int     `yaml:"api-port"`
		Admins []string `yaml:"admin"`
	}
	all, err := l.readConfig(i, &c)
	if err != nil || len(all.Content) == 0 {
		return err
	}
	m := all.Content[0]
	set := func(name string, value any) error {
		var v yaml.Node
		if err := v.Encode(value); err != nil {
			return fmt.Errorf("encode the configuration of node-%d: %w", i, err)
		}
		for k := 0; k+1 < len(m.Content); k += 2 {
			if m.Content[k].Value == name {
				m.Content[k+1] = &v
				return nil
			}
		}
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, &v)
		return nil
	}
	changed := false
	if c.API == nil {
		ports, err := l.freePorts(1, inv)
		if err != nil {
			return err
		}
		if err := set("api-port", ports[0]); err != nil {
			return err
		}
		changed = true
	}
	if keys := inv.adminKeys(); len(keys) > 0 && !slices.Equal(keys, c.Admins) {
		if err := set("admin", keys); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return l.writeConfig(i, all)
}
