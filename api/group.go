package api

func (a *API) groupEndpoints() []endpoint {
	return nil
}
